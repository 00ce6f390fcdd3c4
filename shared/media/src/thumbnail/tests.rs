use std::io::Cursor;

use bytes::Bytes;
use image::{
    DynamicImage, ExtendedColorType, GenericImageView as _, ImageEncoder as _, ImageFormat, Rgb, RgbImage, Rgba,
    RgbaImage,
    codecs::{gif::GifEncoder, jpeg::JpegEncoder},
    load_from_memory,
};

use super::*;

const MEGAPIXEL: u64 = 1_000_000;

fn bounds() -> Bounds {
    Bounds {
        pixels_max: 4 * MEGAPIXEL,
        deadline: Instant::now() + Duration::from_secs(60),
    }
}

fn size(width: u32, height: u32, method: Method) -> Size {
    Size { width, height, method }
}

/// A picture whose left half is red and whose right half is blue.
fn halves(width: u32, height: u32) -> DynamicImage {
    let colour = |x: u32| if x < width / 2 { [250, 0, 0] } else { [0, 0, 250] };
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, _| Rgb(colour(x))))
}

fn file(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Vec::new();
    picture
        .write_to(&mut Cursor::new(&mut file), format)
        .expect("encodable");
    file
}

fn made(file: &[u8], size: Size) -> (DynamicImage, &'static str) {
    match make(file, size, false, bounds()).expect("a picture") {
        Made::Picture { file, content_type } => (load_from_memory(&file).expect("a picture"), content_type),
        Made::Original { .. } => panic!("the original was given"),
    }
}

fn is_red(pixel: Rgba<u8>) -> bool {
    pixel[0] > 180 && pixel[2] < 80
}

#[test]
fn each_format_is_scaled_and_cropped() {
    for (format, content_type) in [
        (ImageFormat::Png, "image/png"),
        (ImageFormat::Jpeg, "image/jpeg"),
        (ImageFormat::Gif, "image/png"),
        (ImageFormat::WebP, "image/jpeg"),
    ] {
        let source = file(&halves(400, 200), format);
        let (scaled, scaled_type) = made(&source, size(96, 96, Method::Scale));
        assert_eq!(
            (scaled.dimensions(), scaled_type),
            ((96, 48), content_type),
            "{format:?}"
        );
        assert!(
            is_red(scaled.get_pixel(10, 24)) && !is_red(scaled.get_pixel(85, 24)),
            "{format:?}"
        );
        let (cropped, _) = made(&source, size(32, 32, Method::Crop));
        assert_eq!(cropped.dimensions(), (32, 32), "{format:?}");
        assert!(
            is_red(cropped.get_pixel(4, 16)) && !is_red(cropped.get_pixel(28, 16)),
            "{format:?}"
        );
    }
}

#[test]
fn nothing_is_made_larger_and_what_is_small_stays_as_it_is() {
    let source = file(&halves(20, 10), ImageFormat::Png);
    for method in [Method::Crop, Method::Scale] {
        let made = make(&source, size(32, 32, method), false, bounds()).expect("a picture");
        assert_eq!(
            made,
            Made::Original {
                content_type: "image/png"
            }
        );
    }
}

#[test]
fn what_can_be_seen_through_stays_so() {
    let glass = RgbaImage::from_fn(200, 200, |x, _| Rgba([0, 200, 0, if x < 100 { 0 } else { 255 }]));
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let source = file(&DynamicImage::ImageRgba8(glass.clone()), format);
        let (small, content_type) = made(&source, size(32, 32, Method::Scale));
        assert_eq!(content_type, "image/png");
        assert!(small.get_pixel(2, 16)[3] < 10 && small.get_pixel(30, 16)[3] > 245);
    }
    let deep = DynamicImage::ImageRgb8(halves(64, 64).into_rgb8()).into_rgb16();
    let (small, _) = made(
        &file(&DynamicImage::ImageRgb16(deep), ImageFormat::Png),
        size(32, 32, Method::Scale),
    );
    assert!(is_red(small.get_pixel(2, 2)));
}

#[test]
fn a_photograph_is_turned_as_its_camera_was() {
    // EXIF: big-endian, one entry, orientation 6 (turn right by 90 degrees to see it).
    let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
    let mut source = Vec::new();
    let mut encoder = JpegEncoder::new(&mut source);
    encoder.set_exif_metadata(exif).expect("JPEG has metadata");
    let pixels = halves(400, 200).into_rgb8();
    encoder
        .write_image(&pixels, 400, 200, ExtendedColorType::Rgb8)
        .expect("encodable");
    let (small, _) = made(&source, size(96, 96, Method::Scale));
    assert_eq!(small.dimensions(), (48, 96));
    assert!(
        is_red(small.get_pixel(24, 10)) && !is_red(small.get_pixel(24, 85)),
        "left is up"
    );
}

#[test]
fn what_moves_is_given_as_it_is_only_to_those_who_want_it() {
    let mut source = Vec::new();
    let frame = || image::Frame::new(halves(20, 20).into_rgba8());
    GifEncoder::new(&mut source)
        .encode_frames([frame(), frame()])
        .expect("encodable");
    let still = make(&source, size(32, 32, Method::Scale), false, bounds()).expect("a picture");
    assert!(
        matches!(
            still,
            Made::Picture {
                content_type: "image/png",
                ..
            }
        ),
        "{still:?}"
    );
    let moving = make(&source, size(32, 32, Method::Scale), true, bounds()).expect("a picture");
    assert_eq!(
        moving,
        Made::Original {
            content_type: "image/gif"
        }
    );
}

/// A PNG that says it has so many pixels.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut ihdr = b"IHDR".to_vec();
    ihdr.extend([width.to_be_bytes(), height.to_be_bytes()].concat());
    ihdr.extend([8, 2, 0, 0, 0]);
    let crc = crc32(&ihdr);
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    file.extend(ihdr);
    file.extend(crc.to_be_bytes());
    file.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

#[test]
fn hostile_15_a_bomb_is_refused_before_it_is_decoded() {
    let mut jpeg = file(&halves(16, 16), ImageFormat::Jpeg);
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .expect("a frame header");
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    let mut gif = file(&halves(16, 16), ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[0xff; 4]);
    for bomb in [png_header(100_000, 100_000), png_header(1, u32::MAX >> 1), jpeg, gif] {
        let started = Instant::now();
        let refused = make(&bomb, size(32, 32, Method::Crop), false, bounds());
        let took = started.elapsed();
        assert!(matches!(refused, Err(MediaError::TooLarge)), "{refused:?}");
        assert!(took < Duration::from_millis(10), "{took:?}");
    }
}

#[test]
fn hostile_15_broken_and_foreign_files_are_refused() {
    let png = file(&halves(300, 300), ImageFormat::Png);
    let jpeg = file(&halves(300, 300), ImageFormat::Jpeg);
    for broken in [
        &png[..png.len() / 2],
        &png[..40],
        &jpeg[..20],
        b"GIF89a",
        b"RIFF\0\0\0\0WEBP",
        b"<svg/>",
        b"",
    ] {
        let refused = make(broken, size(32, 32, Method::Crop), false, bounds());
        assert!(
            matches!(refused, Err(MediaError::NoPicture(_))),
            "{} bytes: {refused:?}",
            broken.len()
        );
    }
    let mut scans = jpeg.clone();
    scans.extend([0xff, 0xda].repeat(200));
    let refused = make(&scans, size(32, 32, Method::Crop), false, bounds());
    assert!(matches!(refused, Err(MediaError::TooLarge)), "{refused:?}");
    let late = Bounds {
        deadline: Instant::now(),
        ..bounds()
    };
    let refused = make(&png, size(32, 32, Method::Crop), false, late);
    assert!(matches!(refused, Err(MediaError::Busy)), "{refused:?}");
}

#[tokio::test]
async fn the_same_thumbnail_is_made_by_one_at_a_time() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let blobs = Blobs::new(folder.path().to_owned(), Handle::current());
    let thumbnails = Thumbnails::new(blobs.clone(), 4 * MEGAPIXEL, Handle::current());
    let content = Bytes::from(file(&halves(400, 200), ImageFormat::Png));
    let source = blobs.insert(content).await.expect("writable").hash;
    let wanted = Wanted {
        source,
        size: size(32, 32, Method::Crop),
        animated: false,
    };
    let first = thumbnails.claim(wanted).await;
    let mut second = Box::pin(thumbnails.claim(wanted));
    assert!(futures_util::poll!(&mut second).is_pending());
    let made = thumbnails.make(wanted).await.expect("a picture");
    assert!(matches!(made, Made::Picture { .. }));
    drop(first);
    drop(second.await);
    assert!(thumbnails.claims.lock().expect("nobody panicked").is_empty());
}
