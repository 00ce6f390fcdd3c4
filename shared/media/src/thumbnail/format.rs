//! Which format a picture has, by its first bytes. What its uploader says it is does not count.

use image::ImageFormat;

/// A format that thumbnails are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Jpeg,
    Gif,
    WebP,
}

impl Format {
    /// The format of a file.
    pub(super) fn of(file: &[u8]) -> Option<Self> {
        match file {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            _ => None,
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
        }
    }

    pub(super) const fn decoder(self) -> ImageFormat {
        match self {
            Self::Png => ImageFormat::Png,
            Self::Jpeg => ImageFormat::Jpeg,
            Self::Gif => ImageFormat::Gif,
            Self::WebP => ImageFormat::WebP,
        }
    }

    /// Whether the picture may move. Of a GIF that is not looked into.
    pub(super) fn may_be_animated(self, file: &[u8]) -> bool {
        match self {
            Self::Jpeg => false,
            Self::Gif => true,
            // The animation bit of an extended file's header.
            Self::WebP => file.get(12..16) == Some(b"VP8X") && file.get(20).is_some_and(|flags| flags & 0b10 != 0),
            Self::Png => is_animated_png(file),
        }
    }
}

/// Most chunks before the pixels that are looked at.
const PNG_CHUNKS_MAX: usize = 100;

/// An animated PNG has a chunk `acTL` before its pixels.
fn is_animated_png(file: &[u8]) -> bool {
    let mut rest = file.get(8..).unwrap_or_default();
    for _ in 0..PNG_CHUNKS_MAX {
        let Some((header, tail)) = rest.split_first_chunk::<8>() else {
            return false;
        };
        let [a, b, c, d, kind @ ..] = *header;
        match &kind {
            b"acTL" => return true,
            b"IDAT" => return false,
            _ => {}
        }
        // The content, and four bytes of checksum.
        let length = u32::from_be_bytes([a, b, c, d]) as usize + 4;
        rest = tail.get(length..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_15_only_four_formats_and_by_magic_bytes() {
        for (file, format) in [
            (&b"\x89PNG\r\n\x1a\n...."[..], Some(Format::Png)),
            (b"\xff\xd8\xff\xe0", Some(Format::Jpeg)),
            (b"GIF89a", Some(Format::Gif)),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some(Format::WebP)),
            (b"%!PS-Adobe-3.0", None),
            (b"%PDF-1.4", None),
            (b"<svg xmlns=", None),
            (b"II*\0", None),
            (b"BM", None),
            (b"RIFF\0\0\0\0WAVE", None),
            (b"", None),
        ] {
            assert_eq!(Format::of(file), format, "{file:?}");
        }
    }

    #[test]
    fn what_moves_is_known() {
        let chunk = |kind: &[u8; 4]| [&[0, 0, 0, 1][..], kind, &[0; 5]].concat();
        let png = |kinds: &[&[u8; 4]]| {
            let chunks: Vec<u8> = kinds.iter().flat_map(|kind| chunk(kind)).collect();
            [&b"\x89PNG\r\n\x1a\n"[..], &chunks].concat()
        };
        assert!(Format::Png.may_be_animated(&png(&[b"IHDR", b"acTL", b"IDAT"])));
        assert!(!Format::Png.may_be_animated(&png(&[b"IHDR", b"IDAT", b"acTL"])));
        assert!(!Format::Png.may_be_animated(b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIHDR"));
        assert!(Format::WebP.may_be_animated(b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02"));
        assert!(!Format::WebP.may_be_animated(b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x10"));
        assert!(!Format::WebP.may_be_animated(b"RIFF\0\0\0\0WEBPVP8 "));
    }
}
