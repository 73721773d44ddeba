//! Winograd's minimal filtering F(M x M, 3 x 3): a tile of M x M outputs from (M + 2) x (M + 2) inputs with that many
//! multiplications per channel, where a direct convolution needs 9 M² (Lavin and Gray, "Fast Algorithms for Convolutional
//! Neural Networks", 2016).

use super::map::CHUNK;
use super::vector::Vector;

/// The one-dimensional transforms of F(M, 3), where T = M + 2.
pub(super) trait Transform<const T: usize, const M: usize> {
    /// Bᵀ d: inputs to points.
    unsafe fn input<V: Vector>(d: [V; T]) -> [V; T];
    /// Aᵀ m: points to outputs.
    unsafe fn output<V: Vector>(m: [V; T]) -> [V; M];
    /// G: filter taps to points.
    const FILTER: [[f64; 3]; T];
}

/// F(2, 3), at the points 0, 1, -1 and infinity.
pub(super) struct F2;
/// F(3, 3), at the points 0, 1, -1, 2 and infinity.
pub(super) struct F3;
/// F(4, 3), at the points 0, 1, -1, 2, -2 and infinity.
pub(super) struct F4;

impl Transform<4, 2> for F2 {
    #[inline(always)]
    unsafe fn input<V: Vector>(d: [V; 4]) -> [V; 4] {
        // SAFETY: the caller promises the instructions.
        unsafe { [d[0].sub(d[2]), d[1].add(d[2]), d[2].sub(d[1]), d[1].sub(d[3])] }
    }

    #[inline(always)]
    unsafe fn output<V: Vector>(m: [V; 4]) -> [V; 2] {
        // SAFETY: the caller promises the instructions.
        unsafe { [m[0].add(m[1]).add(m[2]), m[1].sub(m[2]).sub(m[3])] }
    }

    const FILTER: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
}

impl Transform<5, 3> for F3 {
    #[inline(always)]
    unsafe fn input<V: Vector>(d: [V; 5]) -> [V; 5] {
        // SAFETY: the caller promises the instructions.
        unsafe {
            let two = V::splat(2.0);
            let (d31, d20) = (d[3].sub(d[1]), d[0].sub(d[2]));
            [
                d20.mul_add(two, d31),
                d[1].mul_add(V::splat(-2.0), d[3].sub(d[2])),
                d[1].mul_add(two, d[2].mul_add(V::splat(-3.0), d[3])),
                d31,
                d31.mul_add(V::splat(-2.0), d[4].sub(d[2])),
            ]
        }
    }

    #[inline(always)]
    unsafe fn output<V: Vector>(m: [V; 5]) -> [V; 3] {
        // SAFETY: the caller promises the instructions.
        unsafe {
            let (sum, difference) = (m[1].add(m[2]), m[1].sub(m[2]));
            [
                m[0].add(sum).add(m[3]),
                m[3].mul_add(V::splat(2.0), difference),
                m[3].mul_add(V::splat(4.0), sum).add(m[4]),
            ]
        }
    }

    const FILTER: [[f64; 3]; 5] = [
        [0.5, 0.0, 0.0],
        [-0.5, -0.5, -0.5],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 6.0, 1.0 / 3.0, 2.0 / 3.0],
        [0.0, 0.0, 1.0],
    ];
}

impl Transform<6, 4> for F4 {
    #[inline(always)]
    unsafe fn input<V: Vector>(d: [V; 6]) -> [V; 6] {
        // SAFETY: the caller promises the instructions.
        unsafe {
            let (four, minus_four, minus_five) = (V::splat(4.0), V::splat(-4.0), V::splat(-5.0));
            let even = d[2].mul_add(minus_four, d[4]);
            let odd = d[1].mul_add(minus_four, d[3]);
            let (d42, d31) = (d[4].sub(d[2]), d[3].sub(d[1]));
            [
                d[0].mul_add(four, d[2].mul_add(minus_five, d[4])),
                even.add(odd),
                even.sub(odd),
                d31.mul_add(V::splat(2.0), d42),
                d31.mul_add(V::splat(-2.0), d42),
                d[1].mul_add(four, d[3].mul_add(minus_five, d[5])),
            ]
        }
    }

    #[inline(always)]
    unsafe fn output<V: Vector>(m: [V; 6]) -> [V; 4] {
        // SAFETY: the caller promises the instructions.
        unsafe {
            let (s12, d12) = (m[1].add(m[2]), m[1].sub(m[2]));
            let (s34, d34) = (m[3].add(m[4]), m[3].sub(m[4]));
            [
                m[0].add(s12).add(s34),
                d34.mul_add(V::splat(2.0), d12),
                s34.mul_add(V::splat(4.0), s12),
                d34.mul_add(V::splat(8.0), d12).add(m[5]),
            ]
        }
    }

    const FILTER: [[f64; 3]; 6] = [
        [1.0 / 4.0, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];
}

/// One line of tiles of one chunk of channels, from activations to points.
pub(super) struct InputLine<'a> {
    /// From the first tile's first number on.
    pub(super) map: &'a [f32],
    /// Numbers from one row of the map to the next.
    pub(super) row_step: usize,
    pub(super) tiles: usize,
    /// From the first tile's first point on: a tile's channels lie together, the next tile's follow.
    pub(super) points: &'a mut [f32],
    /// Numbers from one point of all tiles to the next.
    pub(super) point_step: usize,
}

/// Transforms a line of tiles.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
pub(super) unsafe fn input_line<V: Vector, F: Transform<T, M>, const T: usize, const M: usize>(line: InputLine<'_>) {
    if line.tiles == 0 {
        return;
    }
    let reach = (T - 1) * line.row_step + ((line.tiles - 1) * M + T) * CHUNK;
    assert!(line.map.len() >= reach);
    assert!(line.points.len() >= (T * T - 1) * line.point_step + line.tiles * CHUNK);
    for tile in 0..line.tiles {
        for vector in 0..CHUNK / V::LANES {
            // SAFETY: tile, vector, row, column and point stay within what was checked above.
            unsafe {
                let from = line.map.as_ptr().add(tile * M * CHUNK + vector * V::LANES);
                let to = line.points.as_mut_ptr().add(tile * CHUNK + vector * V::LANES);
                let mut columns = [[V::splat(0.0); T]; T];
                for (column, transformed) in columns.iter_mut().enumerate() {
                    let mut inputs = [V::splat(0.0); T];
                    for (row, input) in inputs.iter_mut().enumerate() {
                        *input = V::load(from.add(row * line.row_step + column * CHUNK));
                    }
                    *transformed = F::input(inputs);
                }
                for row in 0..T {
                    let mut inputs = [V::splat(0.0); T];
                    for (column, input) in inputs.iter_mut().enumerate() {
                        *input = columns[column][row];
                    }
                    for (column, point) in F::input(inputs).into_iter().enumerate() {
                        point.store(to.add((row * T + column) * line.point_step));
                    }
                }
            }
        }
    }
}

/// One line of tiles of one panel of channels, from points to activations.
pub(super) struct OutputLine<'a> {
    /// From the first tile's first point on: a tile's panel lies together, the next tile's follows.
    pub(super) points: &'a [f32],
    /// Numbers from one point of all tiles to the next.
    pub(super) point_step: usize,
    /// `[points][panel]` that the points are multiplied with, or nothing.
    pub(super) factors: &'a [f32],
    /// `[panel]`.
    pub(super) biases: &'a [f32],
    /// Channels in the panel.
    pub(super) panel: usize,
    /// From the first output's first channel of the panel on.
    pub(super) map: &'a mut [f32],
    /// Numbers from one row of the map to the next.
    pub(super) row_step: usize,
    /// Rows of outputs that the map has for this line, at most M.
    pub(super) rows: usize,
    /// Columns of outputs of all tiles that the map has.
    pub(super) columns: usize,
    /// Whether to add what the map holds.
    pub(super) add: bool,
}

/// Transforms a line of tiles; adds biases, and what is there if told so, and keeps what is above zero.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
pub(super) unsafe fn output_line<V: Vector, F: Transform<T, M>, const T: usize, const M: usize>(line: OutputLine<'_>) {
    if line.columns == 0 || line.rows == 0 {
        return;
    }
    let tiles = line.columns.div_ceil(M);
    assert!(line.rows <= M && line.panel.is_multiple_of(V::LANES) && line.panel <= CHUNK);
    assert!(line.points.len() >= (T * T - 1) * line.point_step + tiles * line.panel);
    assert!(line.factors.is_empty() || line.factors.len() >= T * T * line.panel);
    assert!(line.biases.len() >= line.panel);
    assert!(line.map.len() >= (line.rows - 1) * line.row_step + (line.columns - 1) * CHUNK + line.panel);
    for tile in 0..tiles {
        let columns = M.min(line.columns - tile * M);
        for vector in 0..line.panel / V::LANES {
            // SAFETY: tile, vector, point, row and column stay within what was checked above.
            unsafe {
                let from = line.points.as_ptr().add(tile * line.panel + vector * V::LANES);
                let mut half = [[V::splat(0.0); T]; M];
                for column in 0..T {
                    let mut points = [V::splat(0.0); T];
                    for (row, point) in points.iter_mut().enumerate() {
                        let index = row * T + column;
                        *point = V::load(from.add(index * line.point_step));
                        if !line.factors.is_empty() {
                            let factor = line.factors.as_ptr().add(index * line.panel + vector * V::LANES);
                            *point = point.mul(V::load(factor));
                        }
                    }
                    for (row, sum) in F::output(points).into_iter().enumerate() {
                        half[row][column] = sum;
                    }
                }
                let bias = V::load(line.biases.as_ptr().add(vector * V::LANES));
                let to = line.map.as_mut_ptr().add(tile * M * CHUNK + vector * V::LANES);
                for (row, half) in half.into_iter().enumerate() {
                    let outputs = F::output(half);
                    if row >= line.rows {
                        break;
                    }
                    for (column, output) in outputs.into_iter().enumerate() {
                        if column < columns {
                            let to = to.add(row * line.row_step + column * CHUNK);
                            let mut output = output.add(bias);
                            if line.add {
                                output = output.add(V::load(to));
                            }
                            output.max(V::splat(0.0)).store(to);
                        }
                    }
                }
            }
        }
    }
}

/// G g Gᵀ: the T x T points of a 3 x 3 filter.
pub(super) fn filter_points<F: Transform<T, M>, const T: usize, const M: usize>(filter: [f32; 9]) -> [[f32; T]; T] {
    let filter = filter.map(f64::from);
    let half =
        F::FILTER.map(|g| [0, 1, 2].map(|column| (0..3).map(|row| g[row] * filter[row * 3 + column]).sum::<f64>()));
    half.map(|half| F::FILTER.map(|g| (g[0] * half[0] + g[1] * half[1] + g[2] * half[2]) as f32))
}
