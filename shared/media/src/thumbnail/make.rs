//! One thumbnail: decode, resize, turn, encode.

use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::{ColorType, DynamicImage};

use super::{
    Bounds, Size,
    decode::{Header, Picture, header, is_turned},
    encode::encode,
};
use crate::MediaError;

/// What a thumbnail is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// The file itself, which is small enough.
    Original { content_type: &'static str },
    /// A smaller picture.
    Picture { file: Vec<u8>, content_type: &'static str },
}

/// Makes a thumbnail of a file. Takes long: call it where that harms nobody.
pub fn make(file: &[u8], size: Size, animated: bool, bounds: Bounds) -> Result<Made, MediaError> {
    let header = header(file, bounds)?;
    let content_type = header.format.content_type();
    let target = size.of_picture(header.seen);
    if target == header.seen && (animated || !header.format.may_be_animated(file)) {
        return Ok(Made::Original { content_type });
    }
    picture(header, target)
}

fn picture(header: Header<'_>, target: (u32, u32)) -> Result<Made, MediaError> {
    let format = header.format;
    let Picture {
        pixels,
        orientation,
        icc_profile,
    } = header.pixels()?;
    // Turning the small picture is cheaper than turning the large one.
    let lying = if is_turned(orientation) {
        (target.1, target.0)
    } else {
        target
    };
    let mut small = resize(in_eight_bits(pixels), lying)?;
    small.apply_orientation(orientation);
    let (file, content_type) = encode(&small, format, icc_profile)?;
    Ok(Made::Picture { file, content_type })
}

/// Cuts the middle of the target's shape out of the picture, and resizes that.
fn resize(pixels: DynamicImage, (width, height): (u32, u32)) -> Result<DynamicImage, MediaError> {
    if (pixels.width(), pixels.height()) == (width, height) {
        return Ok(pixels);
    }
    let mut small = DynamicImage::new(width, height, pixels.color());
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
        .fit_into_destination(Some((0.5, 0.5)));
    let failed = |error: fast_image_resize::ResizeError| MediaError::NoPicture(error.to_string());
    Resizer::new().resize(&pixels, &mut small, &options).map_err(failed)?;
    Ok(small)
}

/// What the encoders of both formats take, and more is not seen in a small picture.
fn in_eight_bits(pixels: DynamicImage) -> DynamicImage {
    if matches!(pixels.color(), ColorType::L8 | ColorType::Rgb8 | ColorType::Rgba8) {
        pixels
    } else if pixels.color().has_alpha() {
        DynamicImage::ImageRgba8(pixels.into_rgba8())
    } else {
        DynamicImage::ImageRgb8(pixels.into_rgb8())
    }
}
