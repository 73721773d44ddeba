//! What every decoder's fuzz target asserts.

use attendance_vision::{MAX_MEGAPIXELS, MAX_SIDE};
use attendance_vision::stages::decode;

/// Decodes `magic` and `data`: the end is a picture within the limits, or a refusal.
pub fn decodes_or_refuses(magic: &[u8], data: &[u8]) {
    if let Ok(picture) = decode(&[magic, data].concat()) {
        let (width, height) = picture.pixels.dimensions();
        assert!(u64::from(width) * u64::from(height) <= u64::from(MAX_MEGAPIXELS) * 1_000_000);
        assert!(width.max(height) <= MAX_SIDE);
    }
}
