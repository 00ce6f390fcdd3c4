//! Which sizes thumbnails are kept in, and what becomes of a picture to fit one.

/// How a picture is made to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Fills the size; what is left over at two sides is cut off.
    Crop,
    /// Lies inside the size, whole.
    Scale,
}

/// A size that thumbnails are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    pub width: u32,
    pub height: u32,
    pub method: Method,
}

/// What scaled thumbnails lie in: the sizes that the specification recommends, and one for screens of twice the resolution.
const SCALED: [(u32, u32); 6] = [(32, 32), (96, 96), (320, 240), (640, 480), (800, 600), (1600, 1200)];
/// The longer sides of those that are cropped.
const CROPPED: [u32; 6] = [32, 96, 320, 640, 800, 1600];
/// The shorter side is a multiple of this part of the longer one, so that there are few sizes; 1:1, 4:3 and 16:9 are met exactly.
const CROPPED_STEPS: u32 = 16;
/// Longest side that anybody may ask for.
pub const SIDE_MAX: u32 = 16_384;

impl Size {
    /// The smallest size that is at least what is asked for, which is at most [`SIDE_MAX`]; nothing if there is none, and the picture itself is the answer.
    pub fn kept(width: u32, height: u32, method: Method) -> Option<Self> {
        let (width, height) = match method {
            Method::Scale => SCALED.into_iter().find(|(w, h)| *w >= width && *h >= height)?,
            Method::Crop => {
                let (long, short) = (width.max(height), width.min(height));
                let kept = CROPPED.into_iter().find(|side| *side >= long)?;
                let steps = (short * CROPPED_STEPS).div_ceil(long.max(1)).max(1);
                let other = kept * steps / CROPPED_STEPS;
                if width >= height { (kept, other) } else { (other, kept) }
            }
        };
        Some(Self { width, height, method })
    }

    /// A size that every picture lies in, so that it is its own thumbnail: for those who ask for more than what is kept.
    pub const fn original(method: Method) -> Self {
        let (width, height) = (u32::MAX, u32::MAX);
        Self { width, height, method }
    }

    /// How large the thumbnail of a picture becomes: never larger than the picture.
    pub fn of_picture(self, (width, height): (u32, u32)) -> (u32, u32) {
        let (across, down) = (ratio(self.width, width), ratio(self.height, height));
        let ratio = match self.method {
            Method::Scale => across.min(down),
            Method::Crop => across.max(down),
        };
        let scaled = (scale(width, ratio.min(1.0)), scale(height, ratio.min(1.0)));
        match self.method {
            Method::Scale => scaled,
            Method::Crop => (scaled.0.min(self.width), scaled.1.min(self.height)),
        }
    }
}

fn ratio(wanted: u32, there: u32) -> f64 {
    f64::from(wanted) / f64::from(there.max(1))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a side times a ratio of at most 1, not negative"
)]
fn scale(side: u32, ratio: f64) -> u32 {
    ((f64::from(side) * ratio).round() as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(width: u32, height: u32, method: Method) -> Option<(u32, u32)> {
        Size::kept(width, height, method).map(|size| (size.width, size.height))
    }

    #[test]
    fn the_recommended_sizes_are_themselves() {
        assert_eq!(kept(32, 32, Method::Crop), Some((32, 32)));
        assert_eq!(kept(96, 96, Method::Crop), Some((96, 96)));
        for size in [(320, 240), (640, 480), (800, 600)] {
            assert_eq!(kept(size.0, size.1, Method::Scale), Some(size));
            assert_eq!(kept(size.0, size.1, Method::Crop), Some(size));
        }
    }

    #[test]
    fn a_kept_size_is_never_smaller_than_what_is_asked_for_and_there_are_few() {
        let mut sizes = std::collections::HashSet::new();
        for width in (1..=1600).step_by(7) {
            for height in (1..=1200).step_by(11) {
                for method in [Method::Crop, Method::Scale] {
                    let size = Size::kept(width, height, method).expect("there is one");
                    assert!(
                        size.width >= width && size.height >= height,
                        "{width}x{height}: {size:?}"
                    );
                    sizes.insert(size);
                }
            }
        }
        assert!(sizes.len() < 200, "{}", sizes.len());
        assert_eq!(kept(1601, 1, Method::Scale), None);
        assert_eq!(kept(1, 1601, Method::Crop), None);
        assert_eq!(kept(1600, 900, Method::Crop), Some((1600, 900)));
    }

    #[test]
    fn a_thumbnail_is_never_larger_than_the_picture() {
        let of = |width, height, method, picture| Size { width, height, method }.of_picture(picture);
        assert_eq!(of(800, 600, Method::Scale, (4000, 3000)), (800, 600));
        assert_eq!(of(800, 600, Method::Scale, (3000, 4000)), (450, 600));
        assert_eq!(of(800, 600, Method::Scale, (700, 100)), (700, 100));
        assert_eq!(of(96, 96, Method::Crop, (4000, 3000)), (96, 96));
        assert_eq!(of(96, 96, Method::Crop, (50, 1000)), (50, 96));
        assert_eq!(of(96, 96, Method::Crop, (50, 40)), (50, 40));
        assert_eq!(of(32, 32, Method::Scale, (10_000, 1)), (32, 1));
    }
}
