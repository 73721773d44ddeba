//! The aligned face that the embedder sees: 150 x 150 pixels, eyes and nose where the model expects them.
//!
//! Method and numbers: dlib's `get_face_chip_details` (size 150, padding 0.25) and `extract_image_chips`.

use image::{Rgb, RgbImage};

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

/// Half the picture: a 5 x 5 binomial filter, sampled at every second pixel from (2, 2) on; `(n - 3) / 2` pixels a side.
fn halve(picture: &RgbImage) -> RgbImage {
    const TAPS: [u32; 5] = [1, 4, 6, 4, 1];
    let size = |n: u32| n.saturating_sub(3) / 2;
    let (width, height) = (size(picture.width()), size(picture.height()));
    // Rows first: each output column of every input row, in whole numbers up to 255 * 16.
    let source_height = picture.height() as usize;
    let stride = picture.width() as usize * 3;
    let raw = picture.as_raw();
    let columns = width as usize * 3;
    let mut rows = vec![0u32; columns * source_height];
    for (y, out) in rows.chunks_exact_mut(columns.max(1)).enumerate().take(source_height) {
        let row = &raw[y * stride..(y + 1) * stride];
        for (i, value) in out.iter_mut().enumerate() {
            let first = (i / 3) * 6 + i % 3;
            *value = (0..5).map(|tap| TAPS[tap] * u32::from(row[first + tap * 3])).sum();
        }
    }
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(std::array::from_fn(|channel| {
            let at = |tap: usize| rows[(y as usize * 2 + tap) * columns + x as usize * 3 + channel];
            ((0..5).map(|tap| TAPS[tap] * at(tap)).sum::<u32>() / 256) as u8
        }))
    })
}

/// The turned rectangle of `level`, stretched over a chip, bilinear in f64 and cut down to whole levels.
fn sample(level: &RgbImage, rect: &RealRect, angle: f64) -> RgbImage {
    let centre = rect.centre();
    let [origin, right, down, _] = rect.corners().map(|p| p.rotated(centre, angle));
    let last = f64::from(CHIP_SIDE - 1);
    let (dx, dy) = (
        Point::new((right.x - origin.x) / last, (right.y - origin.y) / last),
        Point::new((down.x - origin.x) / last, (down.y - origin.y) / last),
    );
    let (width, height) = (f64::from(level.width()), f64::from(level.height()));
    RgbImage::from_fn(CHIP_SIDE, CHIP_SIDE, |col, row| {
        let (col, row) = (f64::from(col), f64::from(row));
        let (x, y) = (origin.x + dx.x * col + dy.x * row, origin.y + dx.y * col + dy.y * row);
        let (left, top) = (x.floor(), y.floor());
        if left < 0.0 || top < 0.0 || left + 1.0 >= width || top + 1.0 >= height {
            return Rgb([0; 3]);
        }
        let (fx, fy) = (x - left, y - top);
        let (left, top) = (left as u32, top as u32);
        let [tl, tr, bl, br] = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(i, j)| level.get_pixel(left + i, top + j).0);
        Rgb(std::array::from_fn(|c| {
            let [tl, tr, bl, br] = [tl[c], tr[c], bl[c], br[c]].map(f64::from);
            ((1.0 - fy) * ((1.0 - fx) * tl + fx * tr) + fy * ((1.0 - fx) * bl + fx * br)) as u8
        }))
    })
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn halving_keeps_a_flat_picture_flat() {
        let half = halve(&RgbImage::from_pixel(41, 30, Rgb([200, 3, 77])));
        assert_eq!(half.dimensions(), (19, 13));
        assert!(half.pixels().all(|p| p.0 == [200, 3, 77]));
        assert_eq!(halve(&RgbImage::new(2, 2)).dimensions(), (0, 0));
    }
}
