//! What the first layers do with a picture's rows, and how large they are.

use super::map::CHUNK;
use super::vector::Vector;

/// Rows and columns of a filter.
pub(super) const STEM_KERNEL: usize = 7;
/// Numbers of one row of a filter, three colours each.
pub(super) const STEM_DEPTH: usize = STEM_KERNEL * 3;
/// Numbers from one output's inputs to the next's.
pub(super) const STEM_STEP: usize = 2 * 3;

/// Returns rows and columns of the outputs for pictures of this side, or nothing for too small ones.
pub(super) fn pooled_side(side: usize) -> Option<usize> {
    let convolved = side.checked_sub(STEM_KERNEL)? / 2 + 1;
    Some(convolved.checked_sub(3)? / 2 + 1)
}

/// The maximum of 3 x 3 with stride 2 of three rows of a panel.
pub(super) struct PoolLine<'a> {
    /// `[columns][panel]` each, in any order.
    pub(super) rows: [&'a [f32]; 3],
    /// `[panel]`.
    pub(super) biases: &'a [f32],
    /// Channels in the panel.
    pub(super) panel: usize,
    /// From the first output's first channel of the panel on.
    pub(super) map: &'a mut [f32],
    /// Columns of outputs.
    pub(super) columns: usize,
}

/// Adds biases to the maximum and keeps what is above zero.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
pub(super) unsafe fn pool_line<V: Vector>(line: PoolLine<'_>) {
    let PoolLine { rows, biases, panel, map, columns } = line;
    if columns == 0 {
        return;
    }
    assert!(panel.is_multiple_of(V::LANES) && biases.len() >= panel && map.len() >= (columns - 1) * CHUNK + panel);
    assert!(rows.iter().all(|row| row.len() >= (2 * columns + 1) * panel));
    for column in 0..columns {
        for lane in (0..panel).step_by(V::LANES) {
            // SAFETY: column and lane stay within what was checked above.
            unsafe {
                let mut largest = V::splat(f32::NEG_INFINITY);
                for row in rows {
                    let row = row.as_ptr().add(2 * column * panel + lane);
                    for cell in 0..3 {
                        largest = largest.max(V::load(row.add(cell * panel)));
                    }
                }
                let sum = largest.add(V::load(biases.as_ptr().add(lane)));
                sum.max(V::splat(0.0)).store(map.as_mut_ptr().add(column * CHUNK + lane));
            }
        }
    }
}

/// Writes `(byte - mean) * scale` for bytes that go red, green, blue.
#[inline(always)]
pub(super) fn normalize(bytes: &[u8], mean: &[f32; 3], scale: f32, numbers: &mut [f32]) {
    // Three vectors of any width are whole pixels.
    const GROUP: usize = 48;
    let means: [f32; GROUP] = std::array::from_fn(|i| mean[i % 3]);
    let (groups, rest) = bytes.as_chunks::<GROUP>();
    let (number_groups, number_rest) = numbers.as_chunks_mut::<GROUP>();
    for (bytes, numbers) in groups.iter().zip(number_groups) {
        for i in 0..GROUP {
            numbers[i] = (f32::from(bytes[i]) - means[i]) * scale;
        }
    }
    for (i, (byte, number)) in rest.iter().zip(number_rest).enumerate() {
        *number = (f32::from(*byte) - mean[i % 3]) * scale;
    }
}
