//! The exact distance.

/// Numbers in an embedding that the search is compiled for: a multiple of 64, at most 512, for which the kernels and the
/// proof in the crate's documentation hold.
pub const DIMENSIONS: usize = 128;

/// Returns the squared Euclidean distance of two embeddings' numbers.
///
/// Sixteen running sums, so that the compiler keeps them in vector registers.
#[must_use]
pub fn squared_distance(a: &[f32; DIMENSIONS], b: &[f32; DIMENSIONS]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            let d = a[lane] - b[lane];
            sums[lane] += d * d;
        }
    }
    sums.iter().sum()
}
