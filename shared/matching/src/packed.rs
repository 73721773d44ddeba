//! Rows with their codes.

use crate::code::Codes;
use crate::distance::DIMENSIONS;

/// Rows that [`nearest`](crate::nearest) searches fast. They are packed once and never change.
///
/// 582 bytes per row: 512 for its numbers, 70 for the first pass; and 1 KiB for all together. The codes fit rows that
/// are packed together, so a few thousand rows at a time are better than a million.
#[derive(Clone)]
pub struct Packed {
    rows: Vec<[f32; DIMENSIONS]>,
    codes: Codes,
}

impl Packed {
    /// Returns these rows, packed. Their numbers have to be finite.
    #[must_use]
    pub fn new(rows: Vec<[f32; DIMENSIONS]>) -> Self {
        let codes = Codes::new(&rows);
        Self { rows, codes }
    }

    /// Returns the rows.
    #[must_use]
    pub fn rows(&self) -> &[[f32; DIMENSIONS]] {
        &self.rows
    }

    /// Returns the bytes that the rows and their codes take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(self.rows()) + self.codes.bytes()
    }

    /// Returns the rows' codes.
    pub(crate) fn codes(&self) -> &Codes {
        &self.codes
    }
}
