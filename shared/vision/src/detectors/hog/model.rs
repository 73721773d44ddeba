//! The detector's file, as `dlib.get_frontal_face_detector().save(path)` writes it.

use attendance_models::dlib::{FormatError, Reader};

use super::filters::{FilterBank, PLANES, TAPS, Template};
use crate::suppress::Overlap;

/// Weights of a detector without its threshold: every plane's 10 x 10 window.
const WEIGHTS: usize = PLANES * TAPS * TAPS;
/// A file with more detectors is refused; dlib's own has 5.
const MAX_DETECTORS: i64 = 16;

/// What the file holds.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) overlap: Overlap,
    pub(super) detectors: Vec<Template>,
}

impl Model {
    /// Returns the model in these bytes; `file` is the name that errors give. Time and memory are bounded by the number of
    /// bytes; nothing of them is trusted.
    pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(file, bytes);
        for (field, value) in [
            ("the detector's version", 2),
            ("the scanner's version", 1),
            ("the first side of the feature array", 0),
            ("the second side of the feature array", 0),
            ("the cell size", 8),
            ("the padding", 0),
            ("the window's width", 80),
            ("the window's height", 80),
            ("the number of pyramid levels", 1000),
            ("the smallest pyramid level's width", 64),
            ("the smallest pyramid level's height", 64),
        ] {
            reader.expect_int(value, field)?;
        }
        // The strength of a regulariser: only training reads it.
        number(&mut reader)?;
        reader.expect_int(WEIGHTS as i64, "the number of dimensions")?;
        let overlap = Overlap { around: number(&mut reader)?, covered: number(&mut reader)? };
        let start = reader.clone();
        let count = reader.int()?;
        if !(1..=MAX_DETECTORS).contains(&count) {
            return Err(start.error(format!("the number of detectors is {count}, not 1 to {MAX_DETECTORS}")));
        }
        let mut detectors = Vec::new();
        for _ in 0..count {
            // A matrix: negative sizes mark the present format.
            reader.expect_int(-(WEIGHTS as i64 + 1), "the number of weights")?;
            reader.expect_int(-1, "the number of columns of weights")?;
            let start = reader.clone();
            let weights = (0..WEIGHTS).map(|_| number(&mut reader)).collect::<Result<Vec<_>, _>>()?;
            if weights.iter().any(|weight| weight.abs() > 1e6) {
                return Err(start.error("a weight is beyond a million"));
            }
            detectors.push(Template { filters: FilterBank::separate(&weights), threshold: number(&mut reader)? });
        }
        reader.finish()?;
        Ok(Self { overlap, detectors })
    }
}

/// Returns a finite number.
fn number(reader: &mut Reader<'_>) -> Result<f64, FormatError> {
    let start = reader.clone();
    let value = reader.float()?;
    if value.is_finite() { Ok(value) } else { Err(start.error(format!("a number is {value}"))) }
}
