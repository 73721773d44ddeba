//! Pictures to send: photographs, and files that are not pictures.

use std::io::Cursor;
use std::sync::OnceLock;

use attendance_testkit::sample;
use bytes::Bytes;
use flate2::Crc;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, RgbImage};

/// A photograph of the peer package, such as `obama.jpg`.
#[must_use]
pub fn photograph(name: &str) -> Bytes {
    std::fs::read(sample(name)).expect("a test picture").into()
}

/// Obama's face, 240 pixels square, as a JPEG of its own for every `n`.
#[must_use]
pub fn obama(n: u64) -> Bytes {
    static PORTRAIT: OnceLock<Bytes> = OnceLock::new();
    numbered(PORTRAIT.get_or_init(|| jpeg(&portrait("obama.jpg", 255, 34, 476, 240))), n)
}

/// Biden's face, as [`obama`].
#[must_use]
pub fn biden(n: u64) -> Bytes {
    static PORTRAIT: OnceLock<Bytes> = OnceLock::new();
    numbered(PORTRAIT.get_or_init(|| jpeg(&portrait("biden.jpg", 286, 93, 568, 240))), n)
}

/// Obama at the left, larger, and Biden at the right.
#[must_use]
pub fn pair() -> Bytes {
    let mut both = RgbImage::new(720, 400);
    let left = portrait("obama.jpg", 255, 34, 476, 400).to_rgb8();
    let right = portrait("biden.jpg", 286, 93, 568, 320).to_rgb8();
    image::imageops::replace(&mut both, &left, 0, 0);
    image::imageops::replace(&mut both, &right, 400, 40);
    jpeg(&both.into())
}

/// The picture scaled to 160 pixels a side: quick to scan.
#[must_use]
pub fn small(picture: &Bytes) -> Bytes {
    let image = image::load_from_memory(picture).expect("a picture");
    jpeg(&image.resize_exact(160, 160, FilterType::Triangle))
}

/// A JPEG that shows nobody.
#[must_use]
pub fn nobody() -> Bytes {
    jpeg(&RgbImage::from_fn(320, 240, |x, y| image::Rgb([x as u8, y as u8, 128])).into())
}

/// A photograph cut off in the middle.
#[must_use]
pub fn truncated() -> Bytes {
    let whole = photograph("obama.jpg");
    whole.slice(..whole.len() / 2)
}

/// A GIF of two frames.
#[must_use]
pub fn gif() -> Bytes {
    let head = b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0";
    let frame = b"!\xf9\x04\0\x0a\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0";
    [&head[..], frame, frame, b";"].concat().into()
}

/// The beginning of a HEIC file, as phones write them.
#[must_use]
pub fn heic() -> Bytes {
    Bytes::from_static(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x08mdat")
}

/// A PNG of a few bytes that claims to be 60000 x 60000 pixels.
#[must_use]
pub fn bomb() -> Bytes {
    claiming(60_000, 60_000)
}

/// A PNG of a few bytes that claims to be a line: few pixels, and one very long side.
#[must_use]
pub fn line() -> Bytes {
    claiming(1, 50_000_000)
}

fn claiming(width: u32, height: u32) -> Bytes {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, 2, 0, 0, 0]);
    let mut data = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut data, &[0; 100_000]).expect("memory");
    let data = data.finish().expect("memory");
    for (kind, bytes) in [(b"IHDR", &header), (b"IDAT", &data), (b"IEND", &Vec::new())] {
        png.extend((bytes.len() as u32).to_be_bytes());
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(bytes);
        png.extend(kind);
        png.extend(bytes);
        png.extend(crc.sum().to_be_bytes());
    }
    png.into()
}

fn portrait(name: &str, left: u32, top: u32, side: u32, to: u32) -> DynamicImage {
    let photo = image::load_from_memory(&photograph(name)).expect("a photograph");
    photo.crop_imm(left, top, side, side).resize_exact(to, to, FilterType::Triangle)
}

fn jpeg(image: &DynamicImage) -> Bytes {
    let mut bytes = Cursor::new(Vec::new());
    let encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    image.to_rgb8().write_with_encoder(encoder).expect("memory");
    bytes.into_inner().into()
}

/// The JPEG with a comment after its first marker: other bytes, the same picture.
#[must_use]
pub fn numbered(jpeg: &Bytes, n: u64) -> Bytes {
    let comment = format!("picture {n:020}");
    let length = u16::try_from(comment.len() + 2).expect("short").to_be_bytes();
    [&jpeg[..2], &[0xff, 0xfe], &length, comment.as_bytes(), &jpeg[2..]].concat().into()
}
