//! The media store: blobs by their hash, and what is made of them.
