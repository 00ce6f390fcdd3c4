//! Thumbnails: what they are made of, and their sizes.

use std::{io::Cursor, sync::Arc};

use image::{DynamicImage, GenericImageView as _, ImageFormat, Rgb, RgbImage};
use plexus_tests::{Cluster, User};

use super::{THUMBNAIL, header, upload};

/// A picture whose left half is red and whose right half is blue.
pub(super) fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let colour = |x: u32| if x < width / 2 { [250, 0, 0] } else { [0, 0, 250] };
    let picture = DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, _| Rgb(colour(x))));
    let mut file = Vec::new();
    picture
        .write_to(&mut Cursor::new(&mut file), format)
        .expect("a picture can be encoded");
    file
}

pub(super) async fn seed_5258_thumbnails_are_made_and_refused(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let large = upload(
        &alice,
        "application/octet-stream",
        "",
        picture(500, 250, ImageFormat::Jpeg),
    )
    .await;
    let text = upload(&alice, "image/png", "", "no picture").await;
    what_no_thumbnail_is_made_of_is_refused(&alice, &large, &text).await;
    thumbnails_have_the_nearest_size(&alice, &large).await;
    // Many at once are made once, and are the same file.
    let wanted = format!("{THUMBNAIL}/{large}?width=96&height=96");
    let (one, two, three) = tokio::join!(
        alice.http.get(&wanted),
        alice.http.get(&wanted),
        alice.http.get(&wanted)
    );
    assert_eq!((one.status, header(&one, "etag")), (200, header(&two, "etag")));
    assert_eq!(header(&one, "etag"), header(&three, "etag"));
}

async fn what_no_thumbnail_is_made_of_is_refused(alice: &User, large: &str, text: &str) {
    for (query, errcode) in [
        ("", "M_MISSING_PARAM"),
        ("?width=32", "M_MISSING_PARAM"),
        ("?height=32", "M_MISSING_PARAM"),
        ("?width=0&height=32", "M_INVALID_PARAM"),
        ("?width=-1&height=32", "M_INVALID_PARAM"),
        ("?width=1.5&height=32", "M_INVALID_PARAM"),
        ("?width=x&height=32", "M_INVALID_PARAM"),
        ("?width=99999999999999999999&height=32", "M_INVALID_PARAM"),
        ("?width=100000&height=32", "M_INVALID_PARAM"),
        ("?width=32&height=32&method=stretch", "M_INVALID_PARAM"),
    ] {
        alice
            .http
            .get(&format!("{THUMBNAIL}/{large}{query}"))
            .await
            .expect_error(400, errcode);
    }
    let size = "?width=32&height=32&method=crop";
    alice
        .http
        .get(&format!("{THUMBNAIL}/{text}{size}"))
        .await
        .expect_error(400, "M_UNKNOWN");
    let ask = async |missing: &str| alice.http.get(&format!("{THUMBNAIL}/{missing}{size}")).await;
    ask("localhost/nothing").await.expect_error(404, "M_NOT_FOUND");
    // Its server may have it, if it could be asked.
    assert_eq!(ask("elsewhere.example/nothing").await.status, 503);
}

async fn thumbnails_have_the_nearest_size(alice: &User, large: &str) {
    for (query, dimensions) in [
        ("width=32&height=32&method=crop", (32, 32)),
        ("width=30&height=20&method=crop", (32, 22)),
        ("width=320&height=240&method=scale", (320, 160)),
        ("width=300&height=200", (320, 160)),
        ("width=640&height=480&method=scale", (500, 250)),
        ("width=5000&height=5000&method=crop&animated=true", (500, 250)),
    ] {
        let target = format!("{large}?{query}");
        for path in [
            format!("{THUMBNAIL}/{target}"),
            format!("/_matrix/media/r0/thumbnail/{target}"),
        ] {
            let answer = alice.http.get(&path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(header(&answer, "content-type"), "image/jpeg");
            assert_eq!(
                header(&answer, "content-disposition"),
                "inline; filename=\"thumbnail.jpg\""
            );
            let small = image::load_from_memory(&answer.body).expect("a picture");
            assert_eq!(small.dimensions(), dimensions, "{path}");
        }
    }
}
