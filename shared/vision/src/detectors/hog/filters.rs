//! A detector's 10 x 10 windows over the feature planes, split into products of a row and a column.

/// Feature planes.
pub(super) const PLANES: usize = 31;
/// Side of a detector's window in cells.
pub(super) const TAPS: usize = 10;

/// Part of a plane's window: its value at row r and column c is `column[r] * row[c]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Separable {
    pub(super) plane: usize,
    pub(super) row: [f32; TAPS],
    pub(super) column: [f32; TAPS],
}

/// A detector's windows as sums of separable ones. Training made the windows of low rank, so two a plane are enough.
#[derive(Debug, Clone)]
pub(super) struct FilterBank {
    pub(super) filters: Vec<Separable>,
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

/// One of the detectors: a view of the face that it looks for.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pub(super) filters: FilterBank,
    pub(super) threshold: f64,
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
}
