//! Correlation of the feature planes with a detector's 10 x 10 windows, split into products of a row and a column.

use super::features::Features;
use super::model::Template;
use super::simd::{Instructions, Vector};

/// Feature planes.
pub(super) const PLANES: usize = 31;
/// Side of a detector's window in cells.
pub(super) const TAPS: usize = 10;

/// Part of a plane's window: its value at row r and column c is `column[r] * row[c]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Separable {
    plane: usize,
    row: [f32; TAPS],
    column: [f32; TAPS],
}

/// Several detectors' filters of each plane, in the order of the detectors.
type ByPlane<'a> = [Vec<(usize, &'a Separable)>; PLANES];

/// A detector's windows as sums of separable ones. Training made the windows of low rank, so two a plane are enough.
#[derive(Debug, Clone)]
pub(super) struct FilterBank {
    filters: Vec<Separable>,
}

impl FilterBank {
    /// Splits [`PLANES`] windows of [`TAPS`] x [`TAPS`] weights, row by row, as dlib does: what it drops is rounding.
    pub(super) fn separate(weights: &[f64]) -> Self {
        let mut filters = Vec::new();
        for (plane, window) in weights.as_chunks::<{ TAPS * TAPS }>().0.iter().enumerate() {
            let components = singular_components(window);
            let smallest = components.first().map_or(0.0, |largest| largest.0 * 0.001).max(1e-4);
            for (sigma, column, row) in components.into_iter().filter(|component| component.0 >= smallest) {
                let scale = |x: f64| (x * sigma.sqrt()) as f32;
                filters.push(Separable { plane, row: row.map(scale), column: column.map(scale) });
            }
        }
        Self { filters }
    }
}

/// The singular values of a 10 x 10 matrix, largest first, with their left and right vectors: one-sided Jacobi
/// rotations, which end when the columns are orthogonal.
fn singular_components(matrix: &[f64; TAPS * TAPS]) -> Vec<(f64, [f64; TAPS], [f64; TAPS])> {
    let mut columns: [[f64; TAPS]; TAPS] = std::array::from_fn(|c| std::array::from_fn(|r| matrix[r * TAPS + c]));
    let mut right: [[f64; TAPS]; TAPS] = std::array::from_fn(|c| std::array::from_fn(|r| f64::from(u8::from(r == c))));
    // Convergence is quadratic and takes about eight sweeps; the bound is for hostile files.
    for _ in 0..40 {
        let mut rotated = false;
        for p in 0..TAPS {
            for q in p + 1..TAPS {
                let (a, b) = (dot(&columns[p], &columns[p]), dot(&columns[q], &columns[q]));
                let both = dot(&columns[p], &columns[q]);
                if both == 0.0 || both.abs() <= 1e-17 * (a * b).sqrt() {
                    continue;
                }
                rotated = true;
                let zeta = (b - a) / (2.0 * both);
                let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                for vectors in [&mut columns, &mut right] {
                    let (before, from_q) = vectors.split_at_mut(q);
                    for (x, y) in before[p].iter_mut().zip(&mut from_q[0]) {
                        (*x, *y) = (cosine * (*x - tangent * *y), cosine * (tangent * *x + *y));
                    }
                }
            }
        }
        if !rotated {
            break;
        }
    }
    let mut components: Vec<_> = columns
        .into_iter()
        .zip(right)
        .map(|(column, right)| {
            let sigma = dot(&column, &column).sqrt();
            (sigma, column.map(|x| if sigma > 0.0 { x / sigma } else { 0.0 }), right)
        })
        .collect();
    components.sort_by(|a, b| b.0.total_cmp(&a.0));
    components
}

fn dot(a: &[f64; TAPS], b: &[f64; TAPS]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A window that scores at least its detector's threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    pub(super) detector: usize,
    /// Cell of its upper left corner.
    pub(super) row: usize,
    pub(super) column: usize,
    /// How far above the threshold.
    pub(super) score: f64,
}

/// Columns that are searched together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strip {
    /// Sixteen.
    Wide { start: usize },
    /// Eight.
    Narrow { start: usize },
    /// The last columns, fewer than eight, in which dlib adds in another order.
    Tail { start: usize },
}

/// Strips that cover this many columns, each once.
pub(super) fn strips(columns: usize) -> Vec<Strip> {
    let (mut strips, mut start) = (Vec::new(), 0);
    while start < columns {
        let (strip, width) = match columns - start {
            0..8 => (Strip::Tail { start }, 8),
            8..16 => (Strip::Narrow { start }, 8),
            _ => (Strip::Wide { start }, 16),
        };
        strips.push(strip);
        start += width;
    }
    strips
}

/// The windows that begin in this strip and reach a threshold plus `adjust`.
#[inline(always)]
pub(super) fn search<I: Instructions>(
    features: &Features,
    strip: Strip,
    detectors: &[Template],
    adjust: f64,
) -> Vec<Window> {
    let mut found = Vec::new();
    match strip {
        Strip::Wide { start } => {
            for start in (start..start + 16).step_by(I::Wide::LANES) {
                search_columns::<I::Wide, false>(features, start, detectors, adjust, &mut found);
            }
        }
        Strip::Narrow { start } => search_columns::<I::Narrow, false>(features, start, detectors, adjust, &mut found),
        Strip::Tail { start } => search_columns::<I::Narrow, true>(features, start, detectors, adjust, &mut found),
    }
    found
}

/// Searches as many columns as a vector has lanes.
#[inline(always)]
fn search_columns<V: Vector, const TAIL: bool>(
    features: &Features,
    start: usize,
    detectors: &[Template],
    adjust: f64,
    found: &mut Vec<Window>,
) {
    let (rows, padded_rows) = (features.rows, features.padded_rows());
    let mut by_plane: ByPlane<'_> = std::array::from_fn(|_| Vec::new());
    for (detector, template) in detectors.iter().enumerate() {
        for filter in &template.filters.filters {
            by_plane[filter.plane].push((detector, filter));
        }
    }
    let most = by_plane.iter().map(Vec::len).max().unwrap_or(0);
    let zeros = || V::splat(0.0);
    let mut scores = vec![zeros(); detectors.len() * rows];
    let mut filtered = vec![zeros(); most * padded_rows];
    for (plane, filters) in by_plane.iter().enumerate() {
        if V::MANY_REGISTERS {
            // Every shift of a row is read once and stays in a register for all filters.
            for row in 0..padded_rows {
                let input = &features.row(plane, row)[start..];
                let shifted: [V; TAPS] = std::array::from_fn(|tap| V::load(&input[tap..]));
                for ((_, filter), filtered) in filters.iter().zip(filtered.chunks_exact_mut(padded_rows)) {
                    filtered[row] = sum::<V, TAIL>(|tap| shifted[tap].mul(V::splat(filter.row[tap])));
                }
            }
        } else {
            // A filter's taps stay in registers for all rows.
            for ((_, filter), filtered) in filters.iter().zip(filtered.chunks_exact_mut(padded_rows)) {
                let taps = filter.row.map(V::splat);
                for (row, filtered) in filtered.iter_mut().enumerate() {
                    let input = &features.row(plane, row)[start..];
                    *filtered = sum::<V, TAIL>(|tap| V::load(&input[tap..]).mul(taps[tap]));
                }
            }
        }
        for ((detector, filter), filtered) in filters.iter().zip(filtered.chunks_exact(padded_rows)) {
            let taps = filter.column.map(V::splat);
            let scores = &mut scores[detector * rows..][..rows];
            for (score, input) in scores.iter_mut().zip(filtered.array_windows::<TAPS>()) {
                *score = score.add(sum::<V, TAIL>(|tap| input[tap].mul(taps[tap])));
            }
        }
    }
    for (detector, (template, scores)) in detectors.iter().zip(scores.chunks_exact(rows)).enumerate() {
        for (row, score) in scores.iter().enumerate() {
            for (column, score) in (start..features.columns).zip(score.lanes()) {
                if f64::from(score) >= template.threshold + adjust {
                    found.push(Window { detector, row, column, score: f64::from(score) - template.threshold });
                }
            }
        }
    }
}

/// The sum of the taps' products in dlib's order: three interleaved ones, the last tap in the first of them; in the tail one after the other.
#[inline(always)]
fn sum<V: Vector, const TAIL: bool>(product: impl Fn(usize) -> V) -> V {
    if TAIL {
        let mut sum = product(0);
        for tap in 1..TAPS {
            sum = sum.add(product(tap));
        }
        return sum;
    }
    let first = product(0).add(product(3)).add(product(6)).add(product(9));
    let second = product(1).add(product(4)).add(product(7));
    let third = product(2).add(product(5)).add(product(8));
    first.add(second.add(third))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u64, n: usize) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as f64 / (1u64 << 24) as f64 - 0.5
        };
        (0..n).map(|_| next()).collect()
    }

    #[test]
    fn separable_parts_add_up_to_the_window() {
        let weights = noise(3, PLANES * TAPS * TAPS);
        let bank = FilterBank::separate(&weights);
        assert_eq!(bank.filters.len(), PLANES * TAPS);
        let mut sums = vec![0.0; weights.len()];
        for Separable { plane, row, column } in bank.filters {
            for (r, c) in (0..TAPS).flat_map(|r| (0..TAPS).map(move |c| (r, c))) {
                sums[(plane * TAPS + r) * TAPS + c] += f64::from(column[r]) * f64::from(row[c]);
            }
        }
        for (sum, weight) in sums.iter().zip(&weights) {
            assert!((sum - weight).abs() < 1e-6, "{sum} {weight}");
        }
    }

    #[test]
    fn windows_of_low_rank_need_few_parts() {
        let (rows, columns) = (noise(1, 2 * TAPS), noise(2, 2 * TAPS));
        let window: Vec<f64> = (0..TAPS * TAPS)
            .map(|i| rows[i / TAPS] * columns[i % TAPS] + rows[TAPS + i / TAPS] * columns[TAPS + i % TAPS])
            .collect();
        let zeros = std::iter::repeat_n(0.0, (PLANES - 1) * TAPS * TAPS);
        assert_eq!(FilterBank::separate(&window.into_iter().chain(zeros).collect::<Vec<_>>()).filters.len(), 2);
    }

    #[test]
    fn strips_cover_every_column_once() {
        for columns in 0..200 {
            let mut next = 0;
            for strip in strips(columns) {
                let (start, width) = match strip {
                    Strip::Wide { start } => (start, 16),
                    Strip::Narrow { start } => (start, 8),
                    Strip::Tail { start } => (start, columns % 8),
                };
                assert_eq!(start, next);
                next += width;
            }
            assert_eq!(next, columns);
        }
    }
}
