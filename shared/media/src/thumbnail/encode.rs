//! From pixels to the file of a thumbnail.

use image::{DynamicImage, ImageEncoder as _, codecs::png::PngEncoder};
use jpeg_encoder::{ColorType, Encoder};

use super::format::Format;
use crate::MediaError;

/// Good enough that nobody sees the difference in a small picture.
const JPEG_QUALITY: u8 = 80;

/// A thumbnail as a file. What can be seen through, and what was stored without loss, stays so.
pub(super) fn encode(
    pixels: &DynamicImage,
    source: Format,
    icc_profile: Option<Vec<u8>>,
) -> Result<(Vec<u8>, &'static str), MediaError> {
    let lossless = pixels.color().has_alpha() || matches!(source, Format::Png | Format::Gif);
    if lossless {
        Ok((png(pixels, icc_profile)?, Format::Png.content_type()))
    } else {
        Ok((jpeg(pixels, icc_profile)?, Format::Jpeg.content_type()))
    }
}

fn png(pixels: &DynamicImage, icc_profile: Option<Vec<u8>>) -> Result<Vec<u8>, MediaError> {
    let mut file = Vec::new();
    let mut encoder = PngEncoder::new(&mut file);
    if let Some(profile) = icc_profile {
        // An encoder that takes none makes a picture of slightly other colours.
        let _taken = encoder.set_icc_profile(profile);
    }
    let failed = |error: image::ImageError| MediaError::NoPicture(error.to_string());
    pixels.write_with_encoder(encoder).map_err(failed)?;
    Ok(file)
}

fn jpeg(pixels: &DynamicImage, icc_profile: Option<Vec<u8>>) -> Result<Vec<u8>, MediaError> {
    let too_large = |_| MediaError::TooLarge;
    let (width, height) = (pixels.width().try_into(), pixels.height().try_into());
    let (width, height): (u16, u16) = (width.map_err(too_large)?, height.map_err(too_large)?);
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, JPEG_QUALITY);
    let failed = |error: jpeg_encoder::EncodingError| MediaError::NoPicture(error.to_string());
    if let Some(profile) = icc_profile {
        encoder.add_icc_profile(&profile).map_err(failed)?;
    }
    let colours = if pixels.color().has_color() {
        ColorType::Rgb
    } else {
        ColorType::Luma
    };
    encoder
        .encode(pixels.as_bytes(), width, height, colours)
        .map_err(failed)?;
    Ok(file)
}
