//! A picture as three planes, and the bilinear resize that the pyramid is made with.

use image::RgbImage;

use super::simd::Instructions;

/// Bytes after a row that may be read (and mean nothing), so that rows are worked through in whole blocks.
pub(super) const ROW_PADDING: usize = 32;

/// An RGB picture, one plane a channel, rows padded by [`ROW_PADDING`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planes {
    width: usize,
    height: usize,
    stride: usize,
    data: Vec<u8>,
}

impl Planes {
    fn new(width: usize, height: usize) -> Self {
        let stride = width + ROW_PADDING;
        Self { width, height, stride, data: vec![0; 3 * stride * height] }
    }

    pub(super) fn from_rgb(image: &RgbImage) -> Self {
        let mut planes = Self::new(image.width() as usize, image.height() as usize);
        if planes.width == 0 || planes.height == 0 {
            return planes;
        }
        let (width, stride, size) = (planes.width, planes.stride, planes.stride * planes.height);
        let (red, rest) = planes.data.split_at_mut(size);
        let (green, blue) = rest.split_at_mut(size);
        let rows = red.chunks_exact_mut(stride).zip(green.chunks_exact_mut(stride)).zip(blue.chunks_exact_mut(stride));
        for (((red, green), blue), pixels) in rows.zip(image.as_raw().chunks_exact(3 * width)) {
            let (pixels, _) = pixels.as_chunks::<3>();
            for (((red, green), blue), pixel) in red.iter_mut().zip(green).zip(blue).zip(pixels) {
                [*red, *green, *blue] = *pixel;
            }
        }
        planes
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn height(&self) -> usize {
        self.height
    }

    /// A row with its padding.
    #[inline(always)]
    pub(super) fn row(&self, channel: usize, y: usize) -> &[u8] {
        &self.data[(channel * self.height + y) * self.stride..][..self.stride]
    }

    #[inline(always)]
    fn row_mut(&mut self, channel: usize, y: usize) -> &mut [u8] {
        &mut self.data[(channel * self.height + y) * self.stride..][..self.stride]
    }

    /// This picture, which is not empty, in another size, with exactly dlib's rounding: single precision in groups of
    /// four columns, double precision in the columns that are left, and truncation to a byte. What looks like noise
    /// here is not: a resize without it moves scores by 0.04 and more, because its errors add up over the levels.
    #[inline(always)]
    pub(super) fn resize<I: Instructions>(&self, width: usize, height: usize) -> Self {
        let mut out = Self::new(width, height);
        let columns = Columns::new(self.width, width);
        let single = columns.left.len();
        let scale_y = (self.height - 1) as f64 / (height.max(2) - 1) as f64;
        let mut weights = Weights::new(single);
        let mut rows = [SourceRow::new(single), SourceRow::new(single)];

        let mut y = -scale_y;
        for r in 0..height {
            y += scale_y;
            let top = (y as usize).min(self.height - 1);
            let bottom = (top + 1).min(self.height - 1);
            let fraction = y - top as f64;

            // Neighbouring rows of the result share rows of the source.
            if rows[0].y != Some(top) {
                rows.swap(0, 1);
            }
            rows[0].gather::<I>(self, top, &columns);
            rows[1].gather::<I>(self, bottom, &columns);
            weights.set(&columns.fraction, fraction as f32, (1.0 - fraction) as f32);

            for channel in 0..3 {
                let target = out.row_mut(channel, r);
                let (target, tail) = target[..width].split_at_mut(single);
                weights.blend(&rows[0].pairs[channel], &rows[1].pairs[channel], target);
                let (above, below) = (self.row(channel, top), self.row(channel, bottom));
                for (target, column) in tail.iter_mut().zip(&columns.tail) {
                    let f = column.fraction;
                    let mix = |row: &[u8]| (1.0 - f) * f64::from(row[column.left]) + f * f64::from(row[column.right]);
                    *target = ((1.0 - fraction) * mix(above) + fraction * mix(below)) as u8;
                }
            }
        }
        out
    }
}

/// Where the columns of a resized picture lie in its source.
struct Columns {
    /// Columns in single precision, a multiple of four: the left neighbour, and how far right of it.
    left: Vec<u32>,
    fraction: Vec<f32>,
    /// The same left neighbours, each followed by its right one, eight columns at a time.
    eights: Vec<Eight>,
    /// The columns after them.
    tail: Vec<TailColumn>,
}

/// Eight columns whose neighbours are among sixteen bytes.
struct Eight {
    first: usize,
    places: [u8; 16],
}

struct TailColumn {
    left: usize,
    right: usize,
    fraction: f64,
}

impl Columns {
    fn new(source: usize, target: usize) -> Self {
        let scale = (source - 1) as f64 / (target.max(2) - 1) as f64;
        let (mut left, mut fraction) = (Vec::with_capacity(target), Vec::with_capacity(target));
        let mut lanes = [0.0, 1.0, 2.0, 3.0].map(|lane| (-4.0 * scale + lane * scale) as f32);
        let step = (4.0 * scale) as f32;
        while left.len() + 4 <= target {
            lanes = lanes.map(|x| x + step);
            if lanes[3] as usize + 1 >= source {
                break;
            }
            for x in lanes {
                left.push(x as u32);
                fraction.push(x - x.trunc());
            }
        }
        let eights = left.as_chunks::<8>().0.iter().map_while(Eight::new).collect();
        let mut x = -scale + left.len() as f64 * scale;
        let tail = (left.len()..target)
            .map(|_| {
                x += scale;
                let left = (x as usize).min(source - 1);
                TailColumn { left, right: (left + 1).min(source - 1), fraction: x - left as f64 }
            })
            .collect();
        Self { left, fraction, eights, tail }
    }
}

impl Eight {
    /// Nothing where the neighbours are farther apart, as in a picture made less than half as large.
    fn new(left: &[u32; 8]) -> Option<Self> {
        let (first, mut places) = (left[0], [0; 16]);
        for (places, &left) in places.as_chunks_mut().0.iter_mut().zip(left) {
            let place = u8::try_from(left - first).ok().filter(|place| *place < 15)?;
            *places = [place, place + 1];
        }
        Some(Self { first: first as usize, places })
    }
}

/// A row of the source, its pixels brought to the columns of the result: both neighbours in one word, left one low.
struct SourceRow {
    y: Option<usize>,
    pairs: [Vec<u16>; 3],
}

impl SourceRow {
    fn new(columns: usize) -> Self {
        Self { y: None, pairs: std::array::from_fn(|_| vec![0; columns]) }
    }

    #[inline(always)]
    fn gather<I: Instructions>(&mut self, source: &Planes, y: usize, columns: &Columns) {
        if self.y == Some(y) {
            return;
        }
        self.y = Some(y);
        for (channel, pairs) in self.pairs.iter_mut().enumerate() {
            let row = source.row(channel, y);
            let (eights, _) = pairs.as_chunks_mut::<8>();
            for (pairs, eight) in eights.iter_mut().zip(&columns.eights) {
                let bytes = row[eight.first..].first_chunk().expect("the padding is longer");
                let picked = I::pick(bytes, &eight.places);
                *pairs = std::array::from_fn(|i| u16::from_le_bytes([picked[2 * i], picked[2 * i + 1]]));
            }
            let done = 8 * columns.eights.len();
            for (pair, &left) in pairs[done..].iter_mut().zip(&columns.left[done..]) {
                let both = row[left as usize..].first_chunk().expect("left neighbours end before the padding");
                *pair = u16::from_le_bytes(*both);
            }
        }
    }
}

/// The four neighbours' weights in a row of the result.
struct Weights {
    above_left: Vec<f32>,
    above_right: Vec<f32>,
    below_left: Vec<f32>,
    below_right: Vec<f32>,
}

impl Weights {
    fn new(columns: usize) -> Self {
        let zeros = || vec![0.0; columns];
        Self { above_left: zeros(), above_right: zeros(), below_left: zeros(), below_right: zeros() }
    }

    #[inline(always)]
    fn set(&mut self, fraction: &[f32], below: f32, above: f32) {
        let n = fraction.len();
        let (al, ar) = (&mut self.above_left[..n], &mut self.above_right[..n]);
        let (bl, br) = (&mut self.below_left[..n], &mut self.below_right[..n]);
        for i in 0..n {
            let (right, left) = (fraction[i], 1.0 - fraction[i]);
            al[i] = above * left;
            ar[i] = above * right;
            bl[i] = below * left;
            br[i] = below * right;
        }
    }

    #[inline(always)]
    fn blend(&self, above: &[u16], below: &[u16], target: &mut [u8]) {
        let n = target.len();
        let (above, below) = (&above[..n], &below[..n]);
        let (al, ar) = (&self.above_left[..n], &self.above_right[..n]);
        let (bl, br) = (&self.below_left[..n], &self.below_right[..n]);
        for i in 0..n {
            let [above_left, above_right] = above[i].to_le_bytes().map(f32::from);
            let [below_left, below_right] = below[i].to_le_bytes().map(f32::from);
            let value = ((al[i] * above_left + ar[i] * above_right) + bl[i] * below_left) + br[i] * below_right;
            // SAFETY: weights are in 0..=1 and add up to 1 but for rounding, so the value is finite and below 256.
            // The checked conversion costs as much as the blending.
            target[i] = unsafe { value.to_int_unchecked::<i32>() } as u8;
        }
    }
}
