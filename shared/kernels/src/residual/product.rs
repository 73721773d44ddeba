//! The product that every convolution becomes: rows of activations times a panel of weights.

use super::map::CHUNK;

const UNROLL: usize = 4;
use super::vector::{Vector, Weight};

/// Rows of activations times a panel of weights: `sums[r][o] = Σ activations[r][i] * weights[i][o]`.
pub(super) struct Product<'a> {
    /// `DEPTH` numbers a row; the next row begins `STEP` numbers later, the next chunk of all rows `chunk_step` later.
    pub(super) activations: &'a [f32],
    pub(super) chunk_step: usize,
    /// How many times `DEPTH` the sum is long.
    pub(super) chunks: usize,
    /// How many rows.
    pub(super) rows: usize,
    /// `[places][panel]`.
    pub(super) sums: &'a mut [f32],
    /// Each row's place in `sums`; none if the places are 0, 1, 2 and so on.
    pub(super) places: &'a [usize],
    /// Whether to add to what `sums` holds.
    pub(super) add: bool,
}

/// Computes a product with panels of `N` vectors; `weights` are `[chunks][DEPTH][panel]`.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
pub(super) unsafe fn multiply<V: Vector, W: Weight, const N: usize, const DEPTH: usize, const STEP: usize>(
    weights: &[W],
    product: Product<'_>,
) {
    let panel = N * V::LANES;
    let rows = product.rows;
    if rows == 0 || product.chunks == 0 {
        return;
    }
    let last_place = match product.places {
        [] => rows - 1,
        places => {
            assert!(places.len() == rows);
            places.iter().copied().fold(0, usize::max)
        }
    };
    assert!(product.sums.len() / panel > last_place);
    let reach = (product.chunks - 1) * product.chunk_step + (rows - 1) * STEP + DEPTH;
    assert!(product.activations.len() >= reach && weights.len() >= product.chunks * DEPTH * panel);
    let most = if N == 1 { 16 } else { V::ROWS };
    // About equally many at a time; in 32 bits, a division takes half as long.
    let size = (rows as u32).div_ceil((rows as u32).div_ceil(most as u32)) as usize;
    let mut first = 0;
    while first < rows {
        let next = rows.min(first + size);
        // SAFETY: the rows from `first` to `next` lie within the slices, as was checked above.
        unsafe {
            let block = Block {
                activations: product.activations.as_ptr().add(first * STEP),
                chunk_step: product.chunk_step,
                chunks: product.chunks,
                weights: weights.as_ptr(),
                sums: product.sums.as_mut_ptr(),
                first,
                places: product.places.get(first..).unwrap_or_default(),
                add: product.add,
            };
            match next - first {
                1 => rows_of::<V, W, N, DEPTH, STEP, 1, 4>(block),
                2 => rows_of::<V, W, N, DEPTH, STEP, 2, 2>(block),
                3 => rows_of::<V, W, N, DEPTH, STEP, 3, 2>(block),
                4 => rows_of::<V, W, N, DEPTH, STEP, 4, 1>(block),
                5 => rows_of::<V, W, N, DEPTH, STEP, 5, 1>(block),
                6 => rows_of::<V, W, N, DEPTH, STEP, 6, 1>(block),
                // What follows is more than a level with fewer registers asks for; it is left out of its code.
                7 if most >= 7 => rows_of::<V, W, N, DEPTH, STEP, 7, 1>(block),
                8 if most >= 8 => rows_of::<V, W, N, DEPTH, STEP, 8, 1>(block),
                9 if most >= 9 => rows_of::<V, W, N, DEPTH, STEP, 9, 1>(block),
                10 if most >= 10 => rows_of::<V, W, N, DEPTH, STEP, 10, 1>(block),
                11 if most >= 11 => rows_of::<V, W, N, DEPTH, STEP, 11, 1>(block),
                12 if most >= 12 => rows_of::<V, W, N, DEPTH, STEP, 12, 1>(block),
                13 if most >= 13 => rows_of::<V, W, N, DEPTH, STEP, 13, 1>(block),
                14 if most >= 14 => rows_of::<V, W, N, DEPTH, STEP, 14, 1>(block),
                15 if most >= 15 => rows_of::<V, W, N, DEPTH, STEP, 15, 1>(block),
                16 if most >= 16 => rows_of::<V, W, N, DEPTH, STEP, 16, 1>(block),
                more => unreachable!("{more} rows at once"),
            }
        }
        first = next;
    }
}

/// A few rows of a [`Product`].
struct Block<'a, W> {
    activations: *const f32,
    chunk_step: usize,
    chunks: usize,
    weights: *const W,
    sums: *mut f32,
    first: usize,
    places: &'a [usize],
    add: bool,
}

/// `ROWS` rows, whose sums stay in registers; with few rows, `PARTS` sums of each, so that additions need not wait for
/// each other.
#[inline(always)]
unsafe fn rows_of<
    V: Vector,
    W: Weight,
    const N: usize,
    const DEPTH: usize,
    const STEP: usize,
    const ROWS: usize,
    const PARTS: usize,
>(
    block: Block<'_, W>,
) {
    let place = |row| block.places.get(row).copied().unwrap_or(block.first + row) * N * V::LANES;
    // SAFETY: the caller promises the instructions, and that the rows, weights and sums lie at these addresses.
    unsafe {
        let mut sums = [[[V::splat(0.0); N]; ROWS]; PARTS];
        if block.add {
            for row in 0..ROWS {
                for vector in 0..N {
                    sums[0][row][vector] = V::load(block.sums.add(place(row) + vector * V::LANES));
                }
            }
        }
        let mut weights = block.weights;
        for chunk in 0..block.chunks {
            let activations = block.activations.add(chunk * block.chunk_step);
            let mut i = 0;
            while i + UNROLL <= DEPTH {
                for part in 0..UNROLL {
                    step::<V, W, N, STEP, ROWS>(
                        &mut sums[part % PARTS],
                        activations.add(i + part),
                        weights.add(part * N * V::LANES),
                    );
                }
                weights = weights.add(UNROLL * N * V::LANES);
                i += UNROLL;
            }
            while i < DEPTH {
                step::<V, W, N, STEP, ROWS>(&mut sums[0], activations.add(i), weights);
                weights = weights.add(N * V::LANES);
                i += 1;
            }
        }
        for row in 0..ROWS {
            for vector in 0..N {
                let mut sum = sums[0][row][vector];
                for part in &sums[1..] {
                    sum = sum.add(part[row][vector]);
                }
                sum.store(block.sums.add(place(row) + vector * V::LANES));
            }
        }
    }
}

#[inline(always)]
unsafe fn step<V: Vector, W: Weight, const N: usize, const STEP: usize, const ROWS: usize>(
    sums: &mut [[V; N]; ROWS],
    activations: *const f32,
    weights: *const W,
) {
    // SAFETY: as in `rows_of`.
    unsafe {
        let mut loaded = [V::splat(0.0); N];
        for (vector, loaded) in loaded.iter_mut().enumerate() {
            *loaded = W::load(weights.add(vector * V::LANES));
        }
        for row in 0..ROWS {
            let activation = V::splat(*activations.add(row * STEP));
            for vector in 0..N {
                sums[row][vector] = activation.mul_add(loaded[vector], sums[row][vector]);
            }
        }
    }
}

/// Rows of sums that become activations.
pub(super) struct Finish<'a> {
    /// `[rows][panel]`.
    pub(super) sums: &'a [f32],
    /// `[panel]` that the sums are multiplied with, or nothing.
    pub(super) factors: &'a [f32],
    /// `[panel]`.
    pub(super) biases: &'a [f32],
    /// Channels in the panel.
    pub(super) panel: usize,
    /// From the first output's first channel of the panel on.
    pub(super) map: &'a mut [f32],
    /// Whether to add what the map holds.
    pub(super) add: bool,
}

/// Adds biases, and what is there if told so, and keeps what is above zero.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
pub(super) unsafe fn finish<V: Vector>(line: Finish<'_>) {
    let Finish { sums, factors, biases, panel, map, add } = line;
    let rows = sums.len() / panel;
    if rows == 0 {
        return;
    }
    assert!(panel.is_multiple_of(V::LANES) && biases.len() >= panel && map.len() >= (rows - 1) * CHUNK + panel);
    assert!(factors.is_empty() || factors.len() >= panel);
    for row in 0..rows {
        for lane in (0..panel).step_by(V::LANES) {
            // SAFETY: row and lane stay within what was checked above.
            unsafe {
                let mut sum = V::load(sums.as_ptr().add(row * panel + lane));
                if !factors.is_empty() {
                    sum = sum.mul(V::load(factors.as_ptr().add(lane)));
                }
                sum = sum.add(V::load(biases.as_ptr().add(lane)));
                let to = map.as_mut_ptr().add(row * CHUNK + lane);
                if add {
                    sum = sum.add(V::load(to));
                }
                sum.max(V::splat(0.0)).store(to);
            }
        }
    }
}

/// Copies the [`CHUNK`] numbers that begin at each of these places, one after the other.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
pub(super) unsafe fn copy_pixels<V: Vector>(from: &[f32], pixels: &[usize], to: &mut [f32]) {
    for (&pixel, to) in pixels.iter().zip(to.as_chunks_mut::<CHUNK>().0) {
        let from = &from[pixel..][..CHUNK];
        for lane in (0..CHUNK).step_by(V::LANES) {
            // SAFETY: both have this many numbers.
            unsafe { V::load(from.as_ptr().add(lane)).store(to.as_mut_ptr().add(lane)) };
        }
    }
}
