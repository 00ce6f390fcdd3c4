//! Bodies in parts (RFC 2046, section 5.1), read as they come: how servers send files to each other.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::outbound::{OutboundError, Pieces};

/// Most bytes before a part's content: its headers, or what stands before the first part.
const HEADERS_BYTES_MAX: usize = 16 * 1024;
/// Longest boundary.
const BOUNDARY_BYTES_MAX: usize = 70;

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MultipartError {
    /// It does not come.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// It is not in parts, or not as it should be.
    #[error("the body is not in parts: {0}")]
    Malformed(&'static str),
}

/// The boundary that a `Content-Type` names.
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/mixed") {
        return None;
    }
    let boundary = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then_some(value.trim())
    })?;
    let boundary = boundary.trim_matches('"');
    ((1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()) && boundary.is_ascii()).then_some(boundary)
}

/// A body in parts, on its way.
#[derive(Debug)]
pub struct Parts {
    pieces: Pieces,
    buffer: BytesMut,
    /// What ends a part.
    delimiter: Vec<u8>,
}

impl Parts {
    /// Begins to read a body.
    pub fn new(pieces: Pieces, boundary: &str) -> Self {
        Self {
            pieces,
            // The first delimiter may be the very first thing.
            buffer: BytesMut::from(&b"\r\n"[..]),
            delimiter: format!("\r\n--{boundary}").into_bytes(),
        }
    }

    /// Goes to the first part, and gives its headers.
    pub async fn first(&mut self) -> Result<HeaderMap, MultipartError> {
        let delimiter = self.delimiter.clone();
        self.read_until(&delimiter, HEADERS_BYTES_MAX).await?;
        self.headers().await
    }

    /// Goes past a part of at most `bytes_max` bytes to the next one, and gives the content of the one and the headers of the other.
    pub async fn next(&mut self, bytes_max: usize) -> Result<(Bytes, HeaderMap), MultipartError> {
        let delimiter = self.delimiter.clone();
        let content = self.read_until(&delimiter, bytes_max).await?;
        Ok((content, self.headers().await?))
    }

    /// What comes next of a part's content; nothing at its end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, MultipartError> {
        loop {
            if let Some(at) = find(&self.buffer, &self.delimiter) {
                return Ok((at > 0).then(|| self.buffer.split_to(at).freeze()));
            }
            // The end of what is here may be the beginning of a delimiter.
            let safe = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
            if safe > 0 {
                return Ok(Some(self.buffer.split_to(safe).freeze()));
            }
            self.fill().await?;
        }
    }

    /// The rest of a delimiter's line, and the headers after it.
    async fn headers(&mut self) -> Result<HeaderMap, MultipartError> {
        let line = self.read_until(b"\r\n", HEADERS_BYTES_MAX).await?;
        if !line.iter().all(u8::is_ascii_whitespace) {
            return Err(MultipartError::Malformed("a part is missing"));
        }
        let mut headers = HeaderMap::new();
        let mut left = HEADERS_BYTES_MAX;
        loop {
            let line = self.read_until(b"\r\n", left).await?;
            if line.is_empty() {
                return Ok(headers);
            }
            left = left.saturating_sub(line.len());
            let colon = line.iter().position(|byte| *byte == b':');
            let colon = colon.ok_or(MultipartError::Malformed("a header without a colon"))?;
            let name = HeaderName::from_bytes(line[..colon].trim_ascii());
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.insert(name, value);
            }
        }
    }

    /// What is before `end`, which is read too.
    async fn read_until(&mut self, end: &[u8], bytes_max: usize) -> Result<Bytes, MultipartError> {
        loop {
            if let Some(at) = find(&self.buffer, end) {
                let read = self.buffer.split_to(at + end.len()).freeze();
                return Ok(read.slice(..at));
            }
            if self.buffer.len() > bytes_max + end.len() {
                return Err(MultipartError::Malformed("a part is too long"));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), MultipartError> {
        let piece = self.pieces.next().await?;
        let piece = piece.ok_or(MultipartError::Malformed("it ends within a part"))?;
        self.buffer.extend_from_slice(&piece);
        Ok(())
    }
}

fn find(buffer: &[u8], wanted: &[u8]) -> Option<usize> {
    buffer.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    /// The parts of a body that comes in pieces of some size: their headers and contents, without that of the first.
    async fn read(body: &str, piece_bytes: usize) -> Result<(HeaderMap, Bytes, HeaderMap, Vec<u8>), MultipartError> {
        let pieces = body.as_bytes().chunks(piece_bytes).map(Bytes::copy_from_slice);
        let pieces: Vec<_> = pieces.map(|piece| Ok(Frame::data(piece))).collect();
        let pieces = Pieces::new(StreamBody::new(stream::iter(pieces)), body.len());
        let mut parts = Parts::new(pieces, "b");
        let first = parts.first().await?;
        let (content, second) = parts.next(1_000).await?;
        let mut file = Vec::new();
        while let Some(piece) = parts.piece().await? {
            file.extend_from_slice(&piece);
        }
        Ok((first, content, second, file))
    }

    const HEAD: &str = "--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\ncontent-type:text/plain\r\n\r\n";

    #[tokio::test]
    async fn parts_are_read_however_they_come() {
        for body in [
            "",
            "file",
            "--b\r\n not at the start of a line",
            "\r\n--c\r\n\r\n-\r\n--",
            "a\r\n\r\nb",
        ] {
            for piece_bytes in [1, 2, 3, 7, 1_000] {
                let text = format!("{HEAD}{body}\r\n--b--\r\n");
                let (first, content, second, file) = read(&text, piece_bytes).await.expect("parts");
                assert_eq!(first["content-type"], "application/json");
                assert_eq!(
                    (&content[..], &second["content-type"]),
                    (&b"{}"[..], &HeaderValue::from_static("text/plain"))
                );
                assert_eq!(String::from_utf8_lossy(&file), body, "{piece_bytes}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_not_in_parts_is_refused() {
        let long = format!("--b\r\nx: {}\r\n\r\n", "y".repeat(HEADERS_BYTES_MAX));
        let long_part = format!("--b\r\n\r\n{}\r\n--b\r\n\r\n\r\n--b--", "y".repeat(2_000));
        for body in [
            "",
            "{}",
            "--b--",
            "--b\r\n\r\n{}\r\n--b--\r\n",
            HEAD,
            "--b\r\nno header\r\n\r\n",
            &long,
            &long_part,
        ] {
            assert!(read(body, 100).await.is_err(), "{body:.60}");
        }
    }

    #[test]
    fn boundaries_are_found() {
        assert_eq!(boundary("multipart/mixed; boundary=abc"), Some("abc"));
        assert_eq!(boundary("Multipart/Mixed;charset=x; Boundary=\"a b\""), Some("a b"));
        let long = format!("multipart/mixed; boundary={}", "x".repeat(71));
        for none in [
            "multipart/mixed",
            "text/plain; boundary=a",
            "multipart/mixed; boundary=",
            "",
            &long,
        ] {
            assert_eq!(boundary(none), None, "{none}");
        }
    }
}
