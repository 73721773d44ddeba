//! Blocks of coded rows, laid out for the first pass. The symbols are those of the crate's proof.

use crate::distance::DIMENSIONS;

/// Rows in a block.
pub(crate) const BLOCK: usize = 64;

/// Groups of eight dimensions.
pub(crate) const GROUPS: usize = DIMENSIONS / 8;

/// The codes of 64 rows.
///
/// Byte 4i + b of group g holds row i's codes of the dimensions 8g + b (low four bits) and 8g + 4 + b (high), b in 0..4:
/// a register holds the same dimensions of several rows, and sums grow in the row's own lane.
#[derive(Clone)]
#[repr(align(64))]
pub(crate) struct Block {
    pub(crate) codes: [[u8; 4 * BLOCK]; GROUPS],
    /// N of each row, infinite if there is no row.
    pub(crate) squares: [f32; BLOCK],
    /// Each row's r in 255ths of the largest, rounded up.
    pub(crate) shares: [u8; BLOCK],
    /// The largest r.
    residual: f32,
}

/// A row's code and what is known of it.
pub(crate) struct Coded {
    /// k.
    pub(crate) code: [u8; DIMENSIONS],
    /// N, rounded down.
    pub(crate) square: f32,
    /// r, rounded up.
    pub(crate) residual: f32,
}

impl Block {
    /// Returns the block of these rows, at most 64.
    pub(crate) fn new(rows: &[Coded]) -> Self {
        let residual = rows.iter().map(|row| row.residual).fold(0.0, f32::max);
        let (codes, squares) = ([[0; 4 * BLOCK]; GROUPS], [f32::INFINITY; BLOCK]);
        let mut block = Self { codes, squares, shares: [255; BLOCK], residual };
        for (at, row) in rows.iter().enumerate() {
            for (group, code) in block.codes.iter_mut().zip(row.code.as_chunks::<8>().0) {
                for b in 0..4 {
                    group[4 * at + b] = code[b] | code[4 + b] << 4;
                }
            }
            block.squares[at] = row.square;
            block.shares[at] = (f64::from(row.residual) / f64::from(residual) * 255.0).ceil() as u8;
        }
        block
    }

    /// Returns the k of the row at this place.
    #[cfg(test)]
    pub(crate) fn code(&self, at: usize) -> [u8; DIMENSIONS] {
        std::array::from_fn(|j| {
            let both = self.codes[j / 8][4 * at + j % 4];
            if j % 8 < 4 { both & 15 } else { both >> 4 }
        })
    }

    /// Returns the largest r.
    pub(crate) fn residual(&self) -> f64 {
        f64::from(self.residual)
    }

    /// Returns the r of the row at this place.
    pub(crate) fn residual_of(&self, at: usize) -> f64 {
        self.residual() * f64::from(self.shares[at]) / 255.0 * (1.0 + 2f64.powi(-20))
    }
}
