//! The 31 feature planes of a picture: histograms of oriented gradients over cells of 8 x 8 pixels (the method of
//! Felzenszwalb et al., "Object Detection with Discriminatively Trained Part-Based Models", 2010), with exactly dlib's
//! order of operations. Single precision without fused multiply-add throughout.

use std::ops::Range;

use super::filters::{PLANES, TAPS};
use super::planes::Planes;
use super::simd::Instructions;

/// Side of a cell in pixels.
pub(super) const CELL: usize = 8;
/// Zeros above and left of the features, so that a window may begin outside of the picture.
const PADDING: usize = 4;
/// Columns that are worked on together.
const BLOCK: usize = 16;
/// dlib works on columns in blocks of eight; in those that are left it breaks ties and rounds in another way.
const DLIB_BLOCK: usize = 8;
const SIGNED: usize = 18;
const UNSIGNED: usize = 9;
/// Keeps the norm of an empty block from being zero.
const EPSILON: f32 = 0.0001;

/// The middle of every unsigned orientation, as a unit vector.
const DIRECTIONS: [(f32, f32); UNSIGNED] = [
    (1.0, 0.0),
    (0.9397, 0.3420),
    (0.7660, 0.6428),
    (0.5, 0.8660),
    (0.1736, 0.9848),
    (-0.1736, 0.9848),
    (-0.5, 0.8660),
    (-0.7660, 0.6428),
    (-0.9397, 0.3420),
];

/// Feature planes, zero-padded so that a window fits around every cell.
#[derive(Debug, PartialEq)]
pub(super) struct Features {
    /// Rows of cells at which a window begins.
    pub(super) rows: usize,
    /// Columns of cells at which a window begins.
    pub(super) columns: usize,
    stride: usize,
    data: Vec<f32>,
}

impl Features {
    /// Padded rows of a plane.
    pub(super) fn padded_rows(&self) -> usize {
        self.rows + TAPS - 1
    }

    /// A padded row: at least `columns + TAPS - 1` values, and zeros up to a multiple of [`BLOCK`] columns.
    #[inline(always)]
    pub(super) fn row(&self, plane: usize, row: usize) -> &[f32] {
        &self.data[(plane * self.padded_rows() + row) * self.stride..][..self.stride]
    }

    fn new(rows: usize, columns: usize) -> Self {
        let stride = columns.next_multiple_of(2 * BLOCK) + TAPS - 1;
        Self { rows, columns, stride, data: vec![0.0; PLANES * (rows + TAPS - 1) * stride] }
    }

    /// The features of this picture; no rows where it is too small to have any.
    #[inline(always)]
    pub(super) fn extract<I: Instructions>(picture: &Planes) -> Self {
        // Rounded half up, as (size / 8 + 0.5) is.
        let (cell_rows, cell_columns) = ((picture.height() + CELL / 2) / CELL, (picture.width() + CELL / 2) / CELL);
        if cell_rows <= 2 || cell_columns <= 2 {
            return Self::new(0, 0);
        }
        let mut features = Self::new(cell_rows - 2, cell_columns - 2);
        features.normalize(&Histograms::of(picture, cell_rows, cell_columns));
        features
    }

    #[inline(always)]
    fn normalize(&mut self, histograms: &Histograms) {
        let (rows, columns) = (self.rows, self.columns);
        let (mut above, mut below) = (Norms::new(columns), Norms::new(columns));
        below.set(histograms, 1);
        let mut sums: [Vec<f32>; 4] = std::array::from_fn(|_| vec![0.0; columns]);
        for row in 0..rows {
            std::mem::swap(&mut above, &mut below);
            below.set(histograms, row + 2);
            // Lanes: the blocks to the lower right, upper right, lower left and upper left of the cell.
            let (c0, i0) = (&below.cap[1..][..columns], &below.inverse[1..][..columns]);
            let (c1, i1) = (&above.cap[1..][..columns], &above.inverse[1..][..columns]);
            let (c2, i2) = (&below.cap[..columns], &below.inverse[..columns]);
            let (c3, i3) = (&above.cap[..columns], &above.inverse[..columns]);
            let (plane_size, stride) = ((rows + TAPS - 1) * self.stride, self.stride);
            let start = (row + PADDING) * stride + PADDING;
            sums.iter_mut().for_each(|sum| sum.fill(0.0));
            let [s0, s1, s2, s3] = sums.each_mut().map(|sum| &mut sum[..columns]);

            for triple in 0..SIGNED / 3 {
                let orientations = [0, 1, 2].map(|i| 3 * triple + i);
                let [ha, hb, hc] = orientations.map(|o| &histograms.row(row + 2, o)[2..][..columns]);
                let (_, planes) = self.data.split_at_mut(3 * triple * plane_size);
                let (pa, planes) = planes.split_at_mut(plane_size);
                let (pb, pc) = planes.split_at_mut(plane_size);
                let [pa, pb, pc] = [pa, pb, pc].map(|plane| &mut plane[start..][..columns]);
                for i in 0..columns {
                    let caps = [c0[i], c1[i], c2[i], c3[i]];
                    let inverses = [i0[i], i1[i], i2[i], i3[i]];
                    let a = lanes(ha[i], caps, inverses);
                    let b = lanes(hb[i], caps, inverses);
                    let c = lanes(hc[i], caps, inverses);
                    pa[i] = (a[0] + a[1]) + (a[2] + a[3]);
                    pb[i] = (b[0] + b[1]) + (b[2] + b[3]);
                    pc[i] = (c[0] + c[1]) + (c[2] + c[3]);
                    s0[i] += (a[0] + b[0]) + c[0];
                    s1[i] += (a[1] + b[1]) + c[1];
                    s2[i] += (a[2] + b[2]) + c[2];
                    s3[i] += (a[3] + b[3]) + c[3];
                }
            }
            for o in 0..UNSIGNED {
                let h = &histograms.row(row + 2, o)[2..][..columns];
                let opposite = &histograms.row(row + 2, o + UNSIGNED)[2..][..columns];
                let plane = &mut self.data[(SIGNED + o) * plane_size + start..][..columns];
                for i in 0..columns {
                    let t = lanes(h[i] + opposite[i], [c0[i], c1[i], c2[i], c3[i]], [i0[i], i1[i], i2[i], i3[i]]);
                    plane[i] = (t[0] + t[1]) + (t[2] + t[3]);
                }
            }
            for (lane, sum) in sums.iter().enumerate() {
                let plane = &mut self.data[(SIGNED + UNSIGNED + lane) * plane_size + start..][..columns];
                for (value, sum) in plane.iter_mut().zip(sum) {
                    *value = sum * 0.4714;
                }
            }
        }
    }
}

/// A bin's share in each of its cell's four blocks, before the factor that all have in common.
#[inline(always)]
fn lanes(h: f32, caps: [f32; 4], inverses: [f32; 4]) -> [f32; 4] {
    let capped = |lane: usize| if h < caps[lane] { h } else { caps[lane] };
    [capped(0) * inverses[0], capped(1) * inverses[1], capped(2) * inverses[2], capped(3) * inverses[3]]
}

/// Of a row of blocks (2 x 2 cells each): where its bins are cut off, and what they are multiplied by.
struct Norms {
    cap: Vec<f32>,
    inverse: Vec<f32>,
}

impl Norms {
    fn new(columns: usize) -> Self {
        Self { cap: vec![0.0; columns + 1], inverse: vec![0.0; columns + 1] }
    }

    /// Of the blocks whose upper cells are this row of histograms, from the second column on.
    #[inline(always)]
    fn set(&mut self, histograms: &Histograms, row: usize) {
        let n = self.cap.len();
        let (upper, lower) = (&histograms.energy(row)[1..][..n + 1], &histograms.energy(row + 1)[1..][..n + 1]);
        let (cap, inverse) = (&mut self.cap[..n], &mut self.inverse[..n]);
        for i in 0..n {
            let sum = ((upper[i] + upper[i + 1]) + lower[i]) + lower[i + 1] + EPSILON;
            let cut = 0.2 * sum.sqrt();
            cap[i] = cut;
            inverse[i] = 0.1 / cut;
        }
    }
}

/// Gradient histograms of cells, with one ring of cells around the picture's.
struct Histograms {
    columns: usize,
    /// Per row, per orientation, per column.
    bins: Vec<f32>,
    /// Sum of squares over unsigned orientations, per row and column.
    energy: Vec<f32>,
}

impl Histograms {
    #[inline(always)]
    fn row(&self, row: usize, orientation: usize) -> &[f32] {
        &self.bins[(row * SIGNED + orientation) * self.columns..][..self.columns]
    }

    #[inline(always)]
    fn energy(&self, row: usize) -> &[f32] {
        &self.energy[row * self.columns..][..self.columns]
    }

    #[inline(always)]
    fn of(picture: &Planes, cell_rows: usize, cell_columns: usize) -> Self {
        let (rows, columns) = (cell_rows + 2, cell_columns + 2);
        let mut histograms =
            Self { columns, bins: vec![0.0; rows * SIGNED * columns], energy: vec![0.0; rows * columns] };
        // Gradients exist where all neighbours do: from the second row and column to the last but one.
        let visible = |cells: usize, size: usize| (cells * CELL).min(size).saturating_sub(2);
        let (height, width) = (visible(cell_rows, picture.height()), visible(cell_columns, picture.width()));
        // A pixel often falls into the bin of the one before it, whose sum the processor does not have yet. Rows that are far
        // apart have no cell in common: they are worked on side by side.
        let rows_each = rows.div_ceil(STREAMS);
        let mut streams: [Stream; STREAMS] =
            std::array::from_fn(|i| Stream::new(i * rows_each..((i + 1) * rows_each).min(rows), columns, width));
        for step in 0..=rows_each {
            for row_in_cell in 0..CELL {
                for stream in &mut streams {
                    stream.gradients_at(picture, step, row_in_cell, height)
                }
                let below = (row_in_cell as f32 + 0.5) / CELL as f32;
                let mut active = streams.iter_mut().filter(|stream| stream.active);
                match [(); STREAMS].map(|()| active.next()) {
                    [Some(a), Some(b), Some(c), Some(d)] => add([a, b, c, d], below),
                    [Some(a), Some(b), Some(c), None] => add([a, b, c], below),
                    [Some(a), Some(b), ..] => add([a, b], below),
                    [Some(a), ..] => add([a], below),
                    [None, ..] => {}
                }
            }
            for stream in &mut streams {
                histograms.finish_row(stream, step)
            }
        }
        histograms
    }

    /// Takes the upper row of the stream's cells, which is complete, and moves its cells down by a row.
    #[inline(always)]
    fn finish_row(&mut self, stream: &mut Stream, step: usize) {
        let columns = self.columns;
        let (cells, _) = stream.bins.as_chunks_mut::<2>();
        // The first is the last of the stream above, which had more of its pixels.
        let Some(row) = (stream.rows.start + step).checked_sub(1).filter(|row| stream.rows.contains(row)) else {
            for [upper, lower] in cells {
                (*upper, *lower) = (*lower, 0.0);
            }
            return;
        };
        let bins = &mut self.bins[row * SIGNED * columns..][..SIGNED * columns];
        for (bin, [upper, lower]) in bins.iter_mut().zip(cells) {
            *bin = *upper;
            *upper = *lower;
            *lower = 0.0;
        }
        let energy = &mut self.energy[row * columns..][..columns];
        let (first, second) = bins.split_at(UNSIGNED * columns);
        for (a, b) in first.chunks_exact(columns).zip(second.chunks_exact(columns)) {
            for ((energy, a), b) in energy.iter_mut().zip(a).zip(b) {
                *energy += (a + b) * (a + b);
            }
        }
    }
}

/// How far a pixel is from the middle of the cell before it, in cells: what the cell after it gets.
#[inline(always)]
fn position(coordinate: usize) -> f32 {
    (((coordinate + CELL / 2) % CELL) as f32 + 0.5) / CELL as f32
}

/// Rows of pixels that are worked on side by side.
const STREAMS: usize = 4;

/// Two rows of cells that are being filled, on their way down through some of the rows.
struct Stream {
    /// The rows of histograms that it is there for.
    rows: Range<usize>,
    /// Per orientation, per column, per row: a pixel's four bins (two columns of two rows) lie side by side, so that one
    /// load, addition and store changes them.
    bins: Vec<f32>,
    gradients: Gradients,
    /// Whether there is a row of pixels at this step.
    active: bool,
}

impl Stream {
    fn new(rows: Range<usize>, columns: usize, width: usize) -> Self {
        let bins = vec![0.0; SIGNED * columns * 2];
        Self { rows, bins, gradients: Gradients::new(width, 2 * columns), active: false }
    }

    /// The gradients of the step's row of pixels, if the picture has it and a row of cells of this stream needs it.
    #[inline(always)]
    fn gradients_at(&mut self, picture: &Planes, step: usize, row_in_cell: usize, height: usize) {
        // The upper row of cells, of which the pixels of the step are in the lower half, and those below it in the upper.
        let y = ((self.rows.start + step) * CELL + row_in_cell).checked_sub(CELL + CELL / 2);
        let wanted = !self.rows.is_empty() && self.rows.start + step <= self.rows.end;
        let y = y.filter(|y| wanted && (1..=height).contains(y));
        self.active = y.is_some();
        if let Some(y) = y {
            self.gradients.set(picture, y);
        }
    }
}

/// Adds each stream's row of gradients in the order of its pixels, of which the row of cells below gets this share.
#[inline(always)]
fn add<const N: usize>(streams: [&mut Stream; N], below: f32) {
    let rows = [1.0 - below, below, 1.0 - below, below];
    let columns: [[f32; 4]; CELL] = std::array::from_fn(|x| {
        let right = position(x);
        [1.0 - right, 1.0 - right, right, right]
    });
    let (width, blocks) = (streams[0].gradients.width, streams[0].gradients.blocks);
    let mut streams = streams
        .map(|Stream { bins, gradients, .. }| (&mut bins[..], &gradients.magnitude[..width], &gradients.bin[..width]));
    // Gradients begin at x = 1.
    for i in 0..blocks {
        let column = &columns[(i + 1) % CELL];
        for (bins, magnitude, bin) in &mut streams {
            let bins = bins[bin[i] as usize..].first_chunk_mut::<4>().expect("a bin and its right neighbour");
            let (before, magnitude) = (*bins, magnitude[i]);
            *bins = std::array::from_fn(|lane| before[lane] + rows[lane] * (column[lane] * magnitude));
        }
    }
    for i in blocks..width {
        let column = &columns[(i + 1) % CELL];
        for (bins, magnitude, bin) in &mut streams {
            let bins = bins[bin[i] as usize..].first_chunk_mut::<4>().expect("a bin and its right neighbour");
            let (before, magnitude) = (*bins, magnitude[i]);
            *bins = std::array::from_fn(|lane| before[lane] + (rows[lane] * column[lane]) * magnitude);
        }
    }
}

/// The gradients of a row of pixels, from the second pixel on.
struct Gradients {
    /// How many pixels.
    width: usize,
    /// How many of them dlib works on in blocks.
    blocks: usize,
    /// Length of an orientation in the band.
    orientation: u32,
    magnitude: Vec<f32>,
    /// Where in the band the first of the pixel's four bins is.
    bin: Vec<u32>,
}

impl Gradients {
    fn new(width: usize, orientation: usize) -> Self {
        let blocks = width / DLIB_BLOCK * DLIB_BLOCK;
        let padded = width.next_multiple_of(BLOCK) + BLOCK;
        Self { width, blocks, orientation: orientation as u32, magnitude: vec![0.0; padded], bin: vec![0; padded] }
    }

    #[inline(always)]
    fn set(&mut self, picture: &Planes, y: usize) {
        for start in (0..self.blocks).step_by(BLOCK) {
            self.block::<true>(picture, y, start);
        }
        // At most seven, and they overwrite what the last block had too much.
        if self.blocks < self.width {
            self.block::<false>(picture, y, self.blocks);
        }
    }

    /// Sixteen pixels. Of channels with equal magnitude the later one counts, or else the earlier one.
    #[inline(always)]
    fn block<const LATER: bool>(&mut self, picture: &Planes, y: usize, start: usize) {
        let neighbors = [around(picture, 0, y, start), around(picture, 1, y, start), around(picture, 2, y, start)];
        let magnitude: &mut [f32; BLOCK] = self.magnitude[start..].first_chunk_mut().expect("padded by a block");
        let bin: &mut [u32; BLOCK] = self.bin[start..].first_chunk_mut().expect("padded by a block");
        gradients::<LATER>(neighbors, (start + 1 + CELL / 2) as u32, self.orientation, magnitude, bin);
    }
}

/// A channel's left, right, upper and lower neighbors of sixteen pixels, the first at `start + 1`.
#[inline(always)]
fn around(picture: &Planes, channel: usize, y: usize, start: usize) -> [&[u8; BLOCK]; 4] {
    let rows = [(y, 0), (y, 2), (y - 1, 1), (y + 1, 1)];
    rows.map(|(y, x)| picture.row(channel, y)[start + x..].first_chunk().expect("rows are padded by more than a block"))
}

/// Magnitudes and bins of sixteen pixels from their left, right, upper and lower neighbors in each channel.
#[inline(always)]
fn gradients<const LATER: bool>(
    neighbors: [[&[u8; BLOCK]; 4]; 3],
    first_column: u32,
    orientation_size: u32,
    magnitude: &mut [f32; BLOCK],
    bin: &mut [u32; BLOCK],
) {
    // All of a pixel in one iteration, without branches: this is what the compiler turns into vector instructions.
    for i in 0..BLOCK {
        let [red, green, blue] = neighbors.map(|[left, right, up, down]| {
            let x = i32::from(right[i]).wrapping_sub(i32::from(left[i]));
            let y = i32::from(down[i]).wrapping_sub(i32::from(up[i]));
            (x as f32, y as f32)
        });
        let (mut gx, mut gy) = red;
        let mut norm = gx * gx + gy * gy;
        for (x, y) in [green, blue] {
            // Exact: these are integers below 2^24.
            let n = x * x + y * y;
            let better = if LATER { n >= norm } else { n > norm };
            gx = if better { x } else { gx };
            gy = if better { y } else { gy };
            norm = if better { n } else { norm };
        }
        let (mut best, mut signed, mut orientation) = (0f32, 0f32, 0u32);
        for (o, (dx, dy)) in DIRECTIONS.into_iter().enumerate() {
            let dot = gx * dx + gy * dy;
            let better = dot.abs() > best;
            best = if better { dot.abs() } else { best };
            signed = if better { dot } else { signed };
            orientation = if better { o as u32 } else { orientation };
        }
        let opposite = if signed < 0.0 { UNSIGNED as u32 } else { 0 };
        let column = first_column.wrapping_add(i as u32) / CELL as u32;
        magnitude[i] = norm.sqrt();
        bin[i] = orientation.wrapping_add(opposite).wrapping_mul(orientation_size).wrapping_add(column.wrapping_mul(2));
    }
}
