//! Picture bytes to upright RGB pixels, under limits.

use std::io::Cursor;

use attendance::PhotoFormat;
use attendance::ports::ScanError;
use image::codecs::{jpeg::JpegDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{DynamicImage, ImageDecoder, ImageError, Limits, RgbImage};

/// The largest picture, in bytes.
pub const MAX_BYTES: usize = 20 * 1024 * 1024;
/// The largest picture, in megapixels (of 1,000,000 pixels).
pub const MAX_MEGAPIXELS: u32 = 50;
/// The longest side, in pixels. Detectors pad every row: without it a line of one pixel by fifty million, which is a file of
/// some kilobytes, would take gigabytes.
pub const MAX_SIDE: u32 = 30_000;
/// What a decoder may allocate beside the pixels it returns.
const MAX_ALLOC: u64 = 512 * 1024 * 1024;

/// An upright picture: RGB, 8 bits a channel, origin at the top left, EXIF turn applied, alpha dropped.
#[derive(Debug, Clone)]
pub struct Picture {
    /// The pixels.
    pub pixels: RgbImage,
    /// The format the bytes were in.
    pub format: PhotoFormat,
}

/// The picture in these bytes.
///
/// The header is read first: a file that claims too many pixels is refused before anything is allocated for them.
///
/// # Errors
/// [`ScanError`] with a sentence for the sender, for what is not a whole JPEG, PNG or WebP within the limits.
pub fn decode(bytes: &[u8]) -> Result<Picture, ScanError> {
    if bytes.len() > MAX_BYTES {
        return Err(ScanError::TooManyBytes { size: bytes.len(), limit: MAX_BYTES });
    }
    let format = sniff(bytes)?;
    let reader = Cursor::new(bytes);
    let pixels = match format {
        PhotoFormat::Jpeg if !jpeg_is_whole(bytes) => return Err(invalid("is truncated")),
        PhotoFormat::Jpeg => pixels(JpegDecoder::new(reader).map_err(refusal)?)?,
        PhotoFormat::Png => {
            // A decoder without limits would already allocate for the header's claims.
            pixels(PngDecoder::with_limits(reader, limits()).map_err(refusal)?)?
        }
        PhotoFormat::WebP => pixels(WebPDecoder::new(reader).map_err(refusal)?)?,
    };
    Ok(Picture { pixels, format })
}

fn pixels(mut decoder: impl ImageDecoder) -> Result<RgbImage, ScanError> {
    let (width, height) = decoder.dimensions();
    let many = u64::from(width) * u64::from(height) > u64::from(MAX_MEGAPIXELS) * 1_000_000;
    if many || width.max(height) > MAX_SIDE {
        return Err(ScanError::TooManyPixels { width, height, megapixels: MAX_MEGAPIXELS, side: MAX_SIDE });
    }
    decoder.set_limits(limits()).map_err(refusal)?;
    let orientation = decoder.orientation().map_err(refusal)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(refusal)?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_ALLOC);
    limits
}

fn invalid(reason: impl Into<String>) -> ScanError {
    ScanError::Invalid { reason: reason.into() }
}

fn refusal(error: ImageError) -> ScanError {
    match error {
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => invalid("is truncated"),
        ImageError::Limits(_) => invalid("needs more memory to decode than is allowed"),
        error => {
            tracing::debug!(%error, "a picture could not be decoded");
            invalid("could not be decoded")
        }
    }
}

/// The format by the first bytes; names and media types lie.
fn sniff(bytes: &[u8]) -> Result<PhotoFormat, ScanError> {
    let unsupported = |format| Err(ScanError::Unsupported { format });
    match bytes {
        [] => Err(invalid("is empty")),
        [0xFF, 0xD8, 0xFF, ..] => Ok(PhotoFormat::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Ok(PhotoFormat::Png),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(PhotoFormat::WebP),
        [b'G', b'I', b'F', b'8', ..] => unsupported("GIF"),
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => unsupported("BMP"),
        [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => unsupported("TIFF"),
        [b'%', b'P', b'D', b'F', ..] => unsupported("PDF"),
        [0, 0, 1, 0, ..] => unsupported("ICO"),
        [0xFF, 0x0A, ..] | [0, 0, 0, 0x0C, b'J', b'X', b'L', b' ', ..] => unsupported("JPEG XL"),
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand.get(..4) {
            Some(b"avif" | b"avis") => unsupported("AVIF"),
            Some(b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"mif1" | b"msf1") => unsupported("HEIC"),
            _ => unsupported("video"),
        },
        _ => Err(invalid("is not a picture")),
    }
}

/// Whether a JPEG goes on to its end marker. The decoder fills what is missing with grey and reports success, and half a
/// picture may lack the face.
///
/// Marker structure: ITU T.81, section B.1.1.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    let mut scanned = false;
    while let Some(offset) = bytes.get(at..).and_then(|rest| rest.iter().position(|b| *b == 0xFF)) {
        at += offset + 1;
        match bytes.get(at) {
            None => return false,
            // Fill bytes, stuffed zeros, restart markers and start of image carry no length.
            Some(0xFF) => {}
            Some(0x00 | 0x01 | 0xD0..=0xD8) => at += 1,
            Some(0xD9) => return scanned,
            Some(marker) => {
                scanned |= *marker == 0xDA;
                let Some(&[high, low]) = bytes.get(at + 1..at + 3).and_then(|b| <&[u8; 2]>::try_from(b).ok()) else {
                    return false;
                };
                at += 1 + usize::from(u16::from_be_bytes([high, low]));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageEncoder, Rgb};

    fn jpeg(exif: Option<u16>) -> Vec<u8> {
        // Red at the top left, so that a turn shows.
        let image =
            RgbImage::from_fn(48, 32, |x, y| if x < 16 && y < 16 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) });
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
        if let Some(orientation) = exif {
            let mut block = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
            block.extend([orientation as u8, 0, 0, 0, 0, 0, 0, 0]);
            encoder.set_exif_metadata(block).unwrap();
        }
        encoder.encode_image(&image).unwrap();
        bytes
    }

    fn reason(bytes: &[u8]) -> String {
        decode(bytes).expect_err("refused").to_string()
    }

    #[test]
    fn the_exif_turn_is_applied() {
        let corner = |orientation, x, y| {
            let pixels = decode(&jpeg(Some(orientation))).unwrap().pixels;
            let Rgb([r, _, b]) = *pixels.get_pixel(x, y);
            (r > 200 && b < 50).then(|| pixels.dimensions())
        };
        assert_eq!(corner(1, 2, 2), Some((48, 32)));
        assert_eq!(corner(2, 45, 2), Some((48, 32)));
        assert_eq!(corner(3, 45, 29), Some((48, 32)));
        assert_eq!(corner(4, 2, 29), Some((48, 32)));
        assert_eq!(corner(5, 2, 2), Some((32, 48)));
        assert_eq!(corner(6, 29, 2), Some((32, 48)));
        assert_eq!(corner(7, 29, 45), Some((32, 48)));
        assert_eq!(corner(8, 2, 45), Some((32, 48)));
    }

    #[test]
    fn every_truncation_of_a_jpeg_is_refused() {
        let whole = jpeg(None);
        assert!(decode(&whole).is_ok());
        for length in 1..whole.len() {
            decode(&whole[..length]).expect_err("a truncated picture is not half a picture");
        }
        let mut trailing = whole;
        trailing.extend(b"appended by a camera");
        assert!(decode(&trailing).is_ok(), "what follows the end marker does not matter");
    }

    #[test]
    fn truncated_png_and_webp_are_refused() {
        let image = RgbImage::from_fn(40, 40, |x, y| Rgb([(x * 37 + y * 91) as u8, (x * y) as u8, y as u8]));
        let (mut png, mut webp) = (Vec::new(), Vec::new());
        image.write_with_encoder(image::codecs::png::PngEncoder::new(&mut png)).unwrap();
        image::codecs::webp::WebPEncoder::new_lossless(&mut webp)
            .write_image(&image, 40, 40, image::ExtendedColorType::Rgb8)
            .unwrap();
        for bytes in [png, webp] {
            assert_eq!(decode(&bytes).unwrap().pixels, image);
            for length in [9, 12, 40, bytes.len() / 2] {
                decode(&bytes[..length]).expect_err("truncated");
            }
        }
    }

    #[test]
    fn other_formats_are_named() {
        assert!(reason(b"GIF89a.......").starts_with("GIF images are not supported"));
        assert!(reason(b"\0\0\0\x18ftypheic\0\0\0\0").starts_with("HEIC"));
        assert!(reason(b"\0\0\0\x18ftypavif\0\0\0\0").starts_with("AVIF"));
        assert!(reason(b"II*\0....").starts_with("TIFF"));
        assert!(reason(b"hello, I am a text").contains("is not a picture"));
        assert!(reason(b"").contains("is empty"));
    }

    #[test]
    fn a_header_that_claims_too_much_is_refused_before_anything_is_allocated() {
        // Also a line: it has few pixels, but detectors pad every row.
        for (wide, high) in [(60_000u32, 60_000u32), (1, 50_000_000), (30_001, 1)] {
            let refused = decode(&claiming(wide, high)).unwrap_err();
            let ScanError::TooManyPixels { width, height, .. } = refused else { panic!("{refused}") };
            assert_eq!((width, height), (wide, high));
        }
        assert!(matches!(decode(&claiming(30_000, 1)), Err(ScanError::Invalid { .. })), "it goes on to the pixels");
    }

    /// A PNG whose header claims this size, and nothing else of worth.
    fn claiming(width: u32, height: u32) -> Vec<u8> {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        png.extend(width.to_be_bytes());
        png.extend(height.to_be_bytes());
        png.extend([8, 2, 0, 0, 0]);
        let crc = crc32(&png[12..]);
        png.extend(crc.to_be_bytes());
        png.extend(b"\0\0\0\x04IDAT\x78\x9c\0\0");
        png
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
        })
    }
}
