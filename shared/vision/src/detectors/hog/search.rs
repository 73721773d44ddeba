//! Correlation of the feature planes with the detectors' filters.

use super::features::Features;
use super::filters::{PLANES, Separable, TAPS, Template};
use super::simd::{Instructions, Vector};

/// Several detectors' filters of each plane, in the order of the detectors.
type ByPlane<'a> = [Vec<(usize, &'a Separable)>; PLANES];

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
