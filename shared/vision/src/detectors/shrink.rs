//! A smaller copy of a picture, made quickly.

use std::borrow::Cow;

use image::RgbImage;

/// Returns the picture at this scale, at most 1: halved as often as it goes, then each pixel mixed of the four that lie
/// around its centre. At a half it is the mean of each four.
pub(super) fn shrink(picture: &RgbImage, scale: f64) -> Cow<'_, RgbImage> {
    if scale > 0.98 {
        return Cow::Borrowed(picture);
    }
    let side = |n: u32| ((f64::from(n) * scale).round() as u32).max(1);
    let (width, height) = (side(picture.width()), side(picture.height()));
    let mut picture = Cow::Borrowed(picture);
    while picture.width() >= 2 * width && picture.height() >= 2 * height && picture.width() > 1 && picture.height() > 1
    {
        picture = Cow::Owned(resampled(&picture, picture.width() / 2, picture.height() / 2));
    }
    match picture.dimensions() == (width, height) {
        true => picture,
        false => Cow::Owned(resampled(&picture, width, height)),
    }
}

/// Bilinear, pixel centres on pixel centres, in 8 bits of precision for the weights.
fn resampled(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let stride = picture.width() as usize * 3;
    let rows = |y: u32| &picture.as_raw()[y as usize * stride..][..stride];
    let columns: Vec<(usize, usize, u32)> = (0..width)
        .map(|x| neighbours(x, width, picture.width()))
        .map(|(left, right, weight)| (left as usize * 3, right as usize * 3, u32::from(weight)))
        .collect();
    let mut mixed = vec![0_u16; stride];
    let mut out = RgbImage::new(width, height);
    for (y, out) in (0..height).zip(out.chunks_exact_mut(width as usize * 3)) {
        let (top, bottom, weight) = neighbours(y, height, picture.height());
        for ((mixed, upper), lower) in mixed.iter_mut().zip(rows(top)).zip(rows(bottom)) {
            *mixed = u16::from(*upper) * (256 - weight) + u16::from(*lower) * weight;
        }
        for (out, (left, right, weight)) in out.as_chunks_mut::<3>().0.iter_mut().zip(&columns) {
            let (left, right) = (&mixed[*left..][..3], &mixed[*right..][..3]);
            for ((out, left), right) in out.iter_mut().zip(left).zip(right) {
                *out = ((u32::from(*left) * (256 - weight) + u32::from(*right) * weight + (1 << 15)) >> 16) as u8;
            }
        }
    }
    out
}

/// The two places of `from` between which place `n` of `to` lies, and the part of the second one in 256.
fn neighbours(n: u32, to: u32, from: u32) -> (u32, u32, u16) {
    let position = ((f64::from(n) + 0.5) * f64::from(from) / f64::from(to) - 0.5).clamp(0.0, f64::from(from - 1));
    let first = position as u32;
    (first, (first + 1).min(from - 1), ((position - f64::from(first)) * 256.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn a_half_is_the_mean_of_each_four_pixels() {
        let picture = RgbImage::from_fn(6, 4, |x, y| Rgb([(x * 40 + y) as u8, (y * 60) as u8, 255]));
        let half = shrink(&picture, 0.5);
        assert_eq!(half.dimensions(), (3, 2));
        for (x, y, pixel) in half.enumerate_pixels() {
            for (channel, value) in pixel.0.into_iter().enumerate() {
                let sum: u32 = [(0, 0), (1, 0), (0, 1), (1, 1)]
                    .map(|(dx, dy)| u32::from(picture.get_pixel(2 * x + dx, 2 * y + dy).0[channel]))
                    .iter()
                    .sum();
                assert_eq!(u32::from(value), (sum + 2) / 4, "at {x}, {y}");
            }
        }
    }

    #[test]
    fn any_size_keeps_a_colour_and_a_slope() {
        let flat = RgbImage::from_pixel(640, 480, Rgb([1, 2, 250]));
        let slope = RgbImage::from_fn(640, 480, |x, _| Rgb([(x * 255 / 639) as u8; 3]));
        for scale in [0.9, 0.625, 0.5, 0.3, 0.11] {
            let small = shrink(&flat, scale);
            assert_eq!(small.width(), (640.0 * scale).round() as u32);
            assert!(small.pixels().all(|pixel| pixel.0 == [1, 2, 250]), "{scale}");
            let small = shrink(&slope, scale);
            for (x, _, pixel) in small.enumerate_pixels() {
                let expected = (f64::from(x) + 0.5) / f64::from(small.width()) * 255.0;
                assert!((f64::from(pixel.0[0]) - expected).abs() < 2.0, "{scale} at {x}: {pixel:?}");
            }
        }
        assert_eq!(shrink(&RgbImage::new(1, 30_000), 0.001).dimensions(), (1, 30));
        assert!(matches!(shrink(&flat, 0.99), Cow::Borrowed(_)));
    }
}
