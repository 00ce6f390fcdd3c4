//! From a file to pixels, within bounds.

use std::{
    io::{self, BufRead, Cursor, Read, Seek, SeekFrom},
    time::Instant,
};

use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits, metadata::Orientation};

use super::{Bounds, format::Format};
use crate::MediaError;

/// Bytes of memory for each pixel that a decoder may take: 16 bits of four channels, and as much again to work with.
const BYTES_PER_PIXEL: u64 = 16;
/// What a decoder may take besides.
const BYTES_BESIDES: u64 = 16 << 20;
/// Most passes over a JPEG's pixels. Cameras and programs make at most a dozen; each costs the time of all pixels and may take a few bytes only.
const JPEG_SCANS_MAX: usize = 100;
/// Longest colour profile that goes along with a thumbnail.
const ICC_BYTES_MAX: usize = 8 << 10;

/// A picture whose header has been read.
pub(super) struct Header<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    pub(super) format: Format,
    pub(super) orientation: Orientation,
    /// Its size as it is seen.
    pub(super) seen: (u32, u32),
    bounds: Bounds,
}

/// A decoded picture.
pub(super) struct Picture {
    /// Its pixels, as they lie in the file.
    pub(super) pixels: DynamicImage,
    pub(super) orientation: Orientation,
    /// What its red, green and blue mean, if not the usual.
    pub(super) icc_profile: Option<Vec<u8>>,
}

/// Reads the header only, and refuses what is too large.
pub(super) fn header(file: &[u8], bounds: Bounds) -> Result<Header<'_>, MediaError> {
    let unknown = || MediaError::NoPicture("it is no PNG, JPEG, GIF or WebP".to_owned());
    let format = Format::of(file).ok_or_else(unknown)?;
    if format == Format::Jpeg && jpeg_scans(file) > JPEG_SCANS_MAX {
        return Err(MediaError::TooLarge);
    }
    let until = Until {
        file: Cursor::new(file),
        deadline: bounds.deadline,
    };
    let mut reader = ImageReader::with_format(until, format.decoder());
    reader.limits(limits(bounds));
    let mut decoder = reader.into_decoder().map_err(refused)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > bounds.pixels_max {
        return Err(MediaError::TooLarge);
    }
    if width == 0 || height == 0 {
        return Err(MediaError::NoPicture("it has no pixels".to_owned()));
    }
    // A picture whose metadata is broken is shown as it lies.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok(Header {
        decoder: Box::new(decoder),
        format,
        orientation,
        seen: if is_turned(orientation) {
            (height, width)
        } else {
            (width, height)
        },
        bounds,
    })
}

impl Header<'_> {
    /// Decodes the pixels; of a picture that moves, the first one.
    pub(super) fn pixels(mut self) -> Result<Picture, MediaError> {
        self.decoder.set_limits(limits(self.bounds)).map_err(refused)?;
        let icc_profile = self
            .decoder
            .icc_profile()
            .ok()
            .flatten()
            .filter(|profile| is_rgb(profile));
        let pixels = DynamicImage::from_decoder(self.decoder).map_err(refused)?;
        Ok(Picture {
            pixels,
            orientation: self.orientation,
            icc_profile,
        })
    }
}

/// Whether up and down lie to the left and right in the file.
pub(super) fn is_turned(orientation: Orientation) -> bool {
    match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            true
        }
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => false,
    }
}

fn limits(bounds: Bounds) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(bounds.pixels_max * BYTES_PER_PIXEL + BYTES_BESIDES);
    limits
}

fn refused(error: ImageError) -> MediaError {
    match error {
        ImageError::Limits(_) => MediaError::TooLarge,
        ImageError::IoError(error) if error.kind() == io::ErrorKind::TimedOut => MediaError::Busy,
        error @ (ImageError::IoError(_)
        | ImageError::Decoding(_)
        | ImageError::Encoding(_)
        | ImageError::Parameter(_)
        | ImageError::Unsupported(_)) => MediaError::NoPicture(error.to_string()),
    }
}

/// A profile for other colours than red, green and blue does not fit what we write.
fn is_rgb(profile: &[u8]) -> bool {
    profile.len() <= ICC_BYTES_MAX && profile.get(16..20) == Some(b"RGB ")
}

/// How often the marker of a scan occurs. Compressed data cannot contain it; metadata may, a few times.
fn jpeg_scans(file: &[u8]) -> usize {
    file.windows(2).filter(|pair| *pair == [0xff, 0xda]).count()
}

/// A file that cannot be read any more after a deadline, which ends a decoder that takes too long.
struct Until<'a> {
    file: Cursor<&'a [u8]>,
    deadline: Instant,
}

impl Until<'_> {
    fn check(&self) -> io::Result<()> {
        if Instant::now() < self.deadline {
            Ok(())
        } else {
            Err(io::ErrorKind::TimedOut.into())
        }
    }
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        self.file.read(buffer)
    }
}

impl BufRead for Until<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.check()?;
        self.file.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.file.consume(amount);
    }
}

impl Seek for Until<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
