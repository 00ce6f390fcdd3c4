//! Thumbnails of a photograph of 4,000 x 3,000 pixels: decode, resize, encode.
//!
//! `PLEXUS_BENCH_PHOTO` names a JPEG to take instead of the one made here.

use std::{
    env, fs,
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use image::{RgbImage, codecs::jpeg::JpegEncoder};
use plexus_media::{
    Method, Size,
    thumbnail::{Bounds, make},
};

/// Waves with some noise on them, which compress about as badly as a photograph.
fn photograph() -> Vec<u8> {
    let mut noise = 1_u32;
    let pixels = RgbImage::from_fn(4000, 3000, |x, y| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grain = (noise >> 28).to_le_bytes()[0];
        let wave = |part: u32| (part / 8 % 200).to_le_bytes()[0];
        image::Rgb([wave(x + y) + grain, wave(x * 2 + y / 3) + grain, wave(y) + grain])
    });
    let mut file = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut file, 90);
    pixels.write_with_encoder(encoder).expect("a picture can be encoded");
    file
}

#[expect(
    clippy::disallowed_methods,
    reason = "a bench is started by hand, with its photograph in the environment"
)]
fn chosen() -> Vec<u8> {
    match env::var("PLEXUS_BENCH_PHOTO") {
        Ok(path) => fs::read(path).expect("the photograph can be read"),
        Err(_) => photograph(),
    }
}

fn thumbnails(criterion: &mut Criterion) {
    let file = chosen();
    for (width, height, method) in [(800, 600, Method::Scale), (96, 96, Method::Crop)] {
        let size = Size { width, height, method };
        criterion.bench_function(&format!("{width}x{height} {method:?}"), |bencher| {
            bencher.iter(|| {
                let bounds = Bounds {
                    pixels_max: 50_000_000,
                    deadline: Instant::now() + Duration::from_secs(60),
                };
                black_box(make(&file, size, false, bounds)).expect("a picture")
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = thumbnails
}
criterion_main!(benches);
