//! The detector's file, as `dlib.get_frontal_face_detector().save(path)` writes it.
//!
//! An integer is a control byte (low nibble: how many bytes follow; bit 7: negative) and a little-endian magnitude. A
//! double is two integers, the value `mantissa * 2^exponent`. A matrix is `-rows, -columns`, then its doubles.

use super::filters::{FilterBank, PLANES, TAPS, Template};
use crate::suppress::Overlap;

/// Weights of a detector without its threshold: every plane's 10 x 10 window.
const DIMENSIONS: usize = PLANES * TAPS * TAPS;
/// A file with more detectors is refused; dlib's own has 5.
const MAX_DETECTORS: i64 = 16;

/// Why bytes are not a face detector that this crate can run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HogModelError {
    /// The file ends before its last field.
    #[error("the HOG detector file ends early, at byte {at}")]
    Truncated {
        /// Where the next byte was wanted.
        at: usize,
    },
    /// Bytes that are no number of this format.
    #[error("the HOG detector file is malformed at byte {at}")]
    Malformed {
        /// Where the number begins.
        at: usize,
    },
    /// A field has a value that this implementation does not handle: the file is for another kind of detector.
    #[error("the HOG detector file is for another kind of detector: unsupported {field}")]
    Unsupported {
        /// The field's name.
        field: &'static str,
    },
    /// Bytes follow the last field.
    #[error("the HOG detector file goes on after its end, at byte {at}")]
    TrailingBytes {
        /// Where the file should end.
        at: usize,
    },
}

/// What the file holds.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) overlap: Overlap,
    pub(super) detectors: Vec<Template>,
}

impl Model {
    /// The model in these bytes. Time and memory are bounded by their number; nothing of them is trusted.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, HogModelError> {
        let mut reader = Reader { bytes, at: 0 };
        for (field, value) in [
            ("detector version", 2),
            ("scanner version", 1),
            ("feature array", 0),
            ("feature array", 0),
            ("cell size", 8),
            ("padding", 0),
            ("window width", 80),
            ("window height", 80),
            ("number of pyramid levels", 1000),
            ("pyramid layer width", 64),
            ("pyramid layer height", 64),
        ] {
            reader.expect(field, value)?;
        }
        // The strength of a regulariser: only training reads it.
        reader.double()?;
        reader.expect("number of dimensions", DIMENSIONS as i64)?;
        let overlap = Overlap { around: reader.double()?, covered: reader.double()? };
        let count = reader.integer()?;
        if !(1..=MAX_DETECTORS).contains(&count) {
            return Err(HogModelError::Unsupported { field: "number of detectors" });
        }
        let mut detectors = Vec::new();
        for _ in 0..count {
            reader.expect("number of weights", -(DIMENSIONS as i64 + 1))?;
            reader.expect("shape of the weights", -1)?;
            let weights = (0..DIMENSIONS).map(|_| reader.double()).collect::<Result<Vec<_>, _>>()?;
            if weights.iter().any(|weight| weight.abs() > 1e6) {
                return Err(HogModelError::Unsupported { field: "weight" });
            }
            detectors.push(Template { filters: FilterBank::separate(&weights), threshold: reader.double()? });
        }
        if reader.at != bytes.len() {
            return Err(HogModelError::TrailingBytes { at: reader.at });
        }
        Ok(Self { overlap, detectors })
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, HogModelError> {
        let byte = *self.bytes.get(self.at).ok_or(HogModelError::Truncated { at: self.at })?;
        self.at += 1;
        Ok(byte)
    }

    fn integer(&mut self) -> Result<i64, HogModelError> {
        let at = self.at;
        let control = self.byte()?;
        let size = control & 0x0f;
        if size == 0 || size > 8 || control & 0x70 != 0 {
            return Err(HogModelError::Malformed { at });
        }
        let mut magnitude = 0u64;
        for shift in 0..u32::from(size) {
            magnitude |= u64::from(self.byte()?) << (8 * shift);
        }
        let magnitude = i64::try_from(magnitude).map_err(|_| HogModelError::Malformed { at })?;
        Ok(if control & 0x80 == 0 { magnitude } else { -magnitude })
    }

    /// Infinity and not-a-number, which the format writes as exponents from 32000 on, are malformed here.
    fn double(&mut self) -> Result<f64, HogModelError> {
        let at = self.at;
        let mantissa = self.integer()?;
        match i32::try_from(self.integer()?) {
            // Within these bounds the power of two and the product are exact.
            Ok(exponent @ -1000..=900) if mantissa.unsigned_abs() <= 1 << 53 => {
                Ok(mantissa as f64 * 2f64.powi(exponent))
            }
            _ => Err(HogModelError::Malformed { at }),
        }
    }

    fn expect(&mut self, field: &'static str, value: i64) -> Result<(), HogModelError> {
        if self.integer()? == value { Ok(()) } else { Err(HogModelError::Unsupported { field }) }
    }
}
