//! The aligned face that the embedder sees: 150 x 150 pixels, eyes and nose where the model expects them.
//!
//! Method and numbers: dlib's `get_face_chip_details` (size 150, padding 0.25) and `extract_image_chips`.

use image::RgbImage;

use crate::geometry::{Point, Similarity};

/// The side of a chip in pixels.
pub const CHIP_SIDE: u32 = 150;

/// Where the five landmarks of a mean face lie in the unit square, in the order of the landmarks.
const MEAN_FACE: [(f64, f64); 5] = [
    (0.859_567_459_599_2, 0.213_498_153_801_4),
    (0.646_060_476_410_4, 0.228_967_438_767_7),
    (0.120_575_062_078_9, 0.213_727_452_684_8),
    (0.334_085_061_371_2, 0.229_064_240_324_2),
    (0.490_112_313_567_9, 0.627_797_531_647_5),
];
const PADDING: f64 = 0.25;

/// A rectangle between real coordinates, edges included as dlib counts: its width is `right - left + 1`.
#[derive(Clone, Copy)]
struct RealRect {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl RealRect {
    fn area(&self) -> f64 {
        (self.right - self.left + 1.0) * (self.bottom - self.top + 1.0)
    }

    fn centre(&self) -> Point {
        Point::new((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0)
    }

    /// The rectangle after one halving of the picture.
    fn halved(&self) -> Self {
        Self {
            left: self.left / 2.0 - 1.25,
            top: self.top / 2.0 - 0.75,
            right: self.right / 2.0 - 1.25,
            bottom: self.bottom / 2.0 - 0.75,
        }
    }

    fn corners(&self) -> [Point; 4] {
        [
            Point::new(self.left, self.top),
            Point::new(self.right, self.top),
            Point::new(self.left, self.bottom),
            Point::new(self.right, self.bottom),
        ]
    }
}

/// The chip (150 x 150, RGB) of the face with these landmarks, in pixels of `picture`. What lies outside the picture is
/// black.
#[must_use]
pub fn extract_chip(picture: &RgbImage, landmarks: &[Point; 5]) -> RgbImage {
    let side = f64::from(CHIP_SIDE);
    let mean = MEAN_FACE.map(|(x, y)| {
        Point::new((PADDING + x) / (2.0 * PADDING + 1.0) * side, (PADDING + y) / (2.0 * PADDING + 1.0) * side)
    });
    let map = Similarity::fit(&mean, landmarks);
    let centre = map.apply(Point::new(side / 2.0, side / 2.0));
    let half = (side * map.scale() - 1.0) / 2.0;
    let rect =
        RealRect { left: centre.x - half, top: centre.y - half, right: centre.x + half, bottom: centre.y + half };
    let angle = map.angle();

    // A face much larger than the chip is halved until one more halving would make it smaller than the chip.
    let (mut depth, mut grow) = (0, 2.0);
    let mut smaller = rect.halved();
    while smaller.area() > side * side {
        smaller = smaller.halved();
        depth += 1;
        grow = grow * 2.0 + 2.0;
    }
    let Some((left, top, mut level)) = crop_around(picture, &rect, angle, grow) else {
        return RgbImage::new(CHIP_SIDE, CHIP_SIDE);
    };
    let mut local =
        RealRect { left: rect.left - left, top: rect.top - top, right: rect.right - left, bottom: rect.bottom - top };
    for _ in 0..depth {
        level = halve(&level);
        local = local.halved();
    }
    sample(&level, &local, angle)
}

/// The part of the picture around the turned rectangle, grown by `grow`, with its left and top edge; `None` where the
/// two do not meet.
fn crop_around(picture: &RgbImage, rect: &RealRect, angle: f64, grow: f64) -> Option<(f64, f64, RgbImage)> {
    let centre = rect.centre();
    let corners = rect.corners().map(|p| p.rotated(centre, angle));
    let least = |f: fn(&Point) -> f64| corners.iter().map(f).fold(f64::INFINITY, f64::min) - grow;
    let most = |f: fn(&Point) -> f64| corners.iter().map(f).fold(f64::NEG_INFINITY, f64::max) + grow;
    let round = |v: f64| (v + 0.5).floor();
    let left = round(least(|p| p.x).max(0.0));
    let top = round(least(|p| p.y).max(0.0));
    let right = round(most(|p| p.x).min(f64::from(picture.width()) - 1.0));
    let bottom = round(most(|p| p.y).min(f64::from(picture.height()) - 1.0));
    if right < left || bottom < top {
        return None;
    }
    let (width, height) = ((right - left) as u32 + 1, (bottom - top) as u32 + 1);
    Some((left, top, image::imageops::crop_imm(picture, left as u32, top as u32, width, height).to_image()))
}

/// Half the picture: a 5 x 5 binomial filter, sampled at every second pixel from (2, 2) on; `(n - 3) / 2` pixels per side.
fn halve(picture: &RgbImage) -> RgbImage {
    let size = |n: u32| n.saturating_sub(3) / 2;
    let (width, height) = (size(picture.width()), size(picture.height()));
    let stride = picture.width() as usize * 3;
    let (raw, columns) = (picture.as_raw(), width as usize * 3);
    let mut half = RgbImage::new(width, height);
    // Columns first, a whole row at a time. 255 times 16 times 16 still fits in 16 bits.
    let mut sums = vec![0u16; stride];
    for (y, out) in half.chunks_exact_mut(columns.max(1)).enumerate() {
        let [a, b, c, d, e] = std::array::from_fn(|tap| &raw[(2 * y + tap) * stride..][..stride]);
        for ((((sum, a), b), (c, d)), e) in sums.iter_mut().zip(a).zip(b).zip(c.iter().zip(d)).zip(e) {
            *sum = binomial([*a, *b, *c, *d, *e].map(u16::from));
        }
        for (x, out) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let five: &[u16; 15] = sums[6 * x..][..15].try_into().expect("five pixels of three channels");
            *out = std::array::from_fn(|c| (binomial(std::array::from_fn(|tap| five[3 * tap + c])) >> 8) as u8);
        }
    }
    half
}

fn binomial([a, b, c, d, e]: [u16; 5]) -> u16 {
    (a + e) + 4 * (b + d) + 6 * c
}

/// The turned rectangle of `level`, stretched over a chip, bilinear in f64 and cut down to whole levels.
fn sample(level: &RgbImage, rect: &RealRect, angle: f64) -> RgbImage {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        /// [`sample_here`], compiled for AVX2: the same operations in the same order, four lanes at a time.
        #[target_feature(enable = "avx2")]
        fn sample_avx2(level: &RgbImage, rect: &RealRect, angle: f64) -> RgbImage {
            sample_here(level, rect, angle)
        }
        // SAFETY: the machine has AVX2.
        return unsafe { sample_avx2(level, rect, angle) };
    }
    sample_here(level, rect, angle)
}

#[inline(always)]
fn sample_here(level: &RgbImage, rect: &RealRect, angle: f64) -> RgbImage {
    let centre = rect.centre();
    let [origin, right, down, _] = rect.corners().map(|p| p.rotated(centre, angle));
    let last = f64::from(CHIP_SIDE - 1);
    let (dx, dy) = (
        Point::new((right.x - origin.x) / last, (right.y - origin.y) / last),
        Point::new((down.x - origin.x) / last, (down.y - origin.y) / last),
    );
    let (width, height) = (level.width() as usize, level.height() as usize);
    let raw = level.as_raw().as_slice();
    let mut chip = RgbImage::new(CHIP_SIDE, CHIP_SIDE);
    for (row, out) in chip.chunks_exact_mut(3 * CHIP_SIDE as usize).enumerate() {
        let row = row as f64;
        for (col, out) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let col = col as f64;
            let (x, y) = (origin.x + dx.x * col + dy.x * row, origin.y + dx.y * col + dy.y * row);
            if !(x >= 0.0 && y >= 0.0) {
                continue;
            }
            let (left, top) = (x as usize, y as usize);
            if left + 1 >= width || top + 1 >= height {
                continue;
            }
            let (fx, fy) = (x - left as f64, y - top as f64);
            let at = (top * width + left) * 3;
            let (upper, lower) = (taps(raw, at), taps(raw, at + width * 3));
            let mixed = |[left, right]: [[f64; 4]; 2], c: usize| (1.0 - fx) * left[c] + fx * right[c];
            let levels: [f64; 4] = std::array::from_fn(|c| (1.0 - fy) * mixed(upper, c) + fy * mixed(lower, c));
            *out = std::array::from_fn(|c| levels[c] as i32 as u8);
        }
    }
    chip
}

/// The pixel that begins at this byte and the one right of it, each with a fourth lane that fills the register.
#[inline(always)]
fn taps(raw: &[u8], at: usize) -> [[f64; 4]; 2] {
    let six: &[u8; 6] = raw[at..at + 6].try_into().expect("two pixels of three channels");
    let wide = |i: usize| std::array::from_fn(|c| f64::from(six[(i + c).min(5)]));
    [wide(0), wide(3)]
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn a_mean_face_is_cut_as_it_stands() {
        // Landmarks exactly where the chip wants them, shifted by (20, 30): the chip is that part of the picture.
        let picture = RgbImage::from_fn(220, 220, |x, y| Rgb([x as u8, y as u8, (x + y) as u8]));
        let landmarks = MEAN_FACE
            .map(|(x, y)| Point::new((0.25 + x) / 1.5 * 150.0 + 20.0 - 0.5, (0.25 + y) / 1.5 * 150.0 + 30.0 - 0.5));
        let chip = extract_chip(&picture, &landmarks);
        for (x, y) in [(0, 0), (75, 75), (149, 149), (10, 140)] {
            let [r, g, _] = chip.get_pixel(x, y).0;
            assert!((i32::from(r) - (x as i32 + 20)).abs() <= 1 && (i32::from(g) - (y as i32 + 30)).abs() <= 1);
        }
    }

    #[test]
    fn a_face_outside_the_picture_is_black() {
        let picture = RgbImage::from_pixel(40, 40, Rgb([255; 3]));
        let landmarks = MEAN_FACE.map(|(x, y)| Point::new(x * 100.0 + 1e4, y * 100.0 - 1e4));
        assert!(extract_chip(&picture, &landmarks).pixels().all(|p| p.0 == [0; 3]));
    }

    fn noise(width: u32, height: u32) -> RgbImage {
        let mut state = 1u32;
        RgbImage::from_fn(width, height, |_, _| {
            Rgb(std::array::from_fn(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            }))
        })
    }

    #[test]
    fn halving_is_the_filter_written_out() {
        const TAPS: [u32; 5] = [1, 4, 6, 4, 1];
        for (width, height) in [(5, 5), (40, 7), (33, 64), (150, 149)] {
            let picture = noise(width, height);
            let half = halve(&picture);
            assert_eq!(half.dimensions(), ((width - 3) / 2, (height - 3) / 2));
            for (x, y, pixel) in half.enumerate_pixels() {
                let at = |c: usize, i: usize, j: usize| {
                    u32::from(picture.get_pixel(2 * x + i as u32, 2 * y + j as u32).0[c])
                };
                let sum = |c| (0..25).map(|k| TAPS[k % 5] * TAPS[k / 5] * at(c, k % 5, k / 5)).sum::<u32>();
                assert_eq!(pixel.0, std::array::from_fn(|c| (sum(c) / 256) as u8), "({x}, {y}) of {width} x {height}");
            }
        }
    }

    #[test]
    fn sampling_is_the_same_compiled_for_any_instructions() {
        let level = noise(170, 160);
        for (shift, angle) in [(0.0, 0.0), (7.25, 0.3), (-20.5, -1.2), (60.0, 2.9)] {
            let rect = RealRect { left: shift, top: shift / 2.0, right: 149.5 + shift, bottom: 148.0 };
            assert_eq!(sample(&level, &rect, angle), sample_here(&level, &rect, angle));
        }
    }

    #[test]
    fn halving_keeps_a_flat_picture_flat() {
        let half = halve(&RgbImage::from_pixel(41, 30, Rgb([200, 3, 77])));
        assert_eq!(half.dimensions(), (19, 13));
        assert!(half.pixels().all(|p| p.0 == [200, 3, 77]));
        assert_eq!(halve(&RgbImage::new(2, 2)).dimensions(), (0, 0));
    }
}
