//! From pixels to the file of a thumbnail.

use image::{
    DynamicImage, ImageEncoder, ImageResult,
    codecs::{jpeg::JpegEncoder, png::PngEncoder},
};

use super::format::Format;

/// Good enough that nobody sees the difference in a small picture.
const JPEG_QUALITY: u8 = 80;

/// A thumbnail as a file. What can be seen through, and what was stored without loss, stays so.
pub(super) fn encode(
    pixels: &DynamicImage,
    source: Format,
    icc_profile: Option<Vec<u8>>,
) -> ImageResult<(Vec<u8>, &'static str)> {
    let mut file = Vec::new();
    let lossless = pixels.color().has_alpha() || matches!(source, Format::Png | Format::Gif);
    if lossless {
        write(pixels, PngEncoder::new(&mut file), icc_profile)?;
        Ok((file, Format::Png.content_type()))
    } else {
        write(
            pixels,
            JpegEncoder::new_with_quality(&mut file, JPEG_QUALITY),
            icc_profile,
        )?;
        Ok((file, Format::Jpeg.content_type()))
    }
}

fn write(pixels: &DynamicImage, mut encoder: impl ImageEncoder, icc_profile: Option<Vec<u8>>) -> ImageResult<()> {
    if let Some(profile) = icc_profile {
        // An encoder that takes none makes a picture of slightly other colours.
        let _taken = encoder.set_icc_profile(profile);
    }
    pixels.write_with_encoder(encoder)
}
