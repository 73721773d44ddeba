//! The input that dlib's networks expect.

use image::RgbImage;

/// What [`normalized_planes`] multiplies with.
pub(crate) const SCALE: f32 = 1.0 / 256.0;

/// The mean colour of the training pictures, RGB (dlib's `input_rgb_image`).
pub(crate) const MEAN: [f32; 3] = [122.782, 117.001, 104.298];

/// Three planes (red, green, blue) of `(value - mean) / 256`, each row-major, as the networks expect.
pub(crate) fn normalized_planes(image: &RgbImage) -> Vec<f32> {
    let pixels = (image.width() * image.height()) as usize;
    let mut planes = vec![0.0; pixels * 3];
    for (channel, plane) in planes.chunks_exact_mut(pixels.max(1)).enumerate() {
        for (value, pixel) in plane.iter_mut().zip(image.as_raw().as_chunks::<3>().0) {
            *value = (f32::from(pixel[channel]) - MEAN[channel]) * SCALE;
        }
    }
    planes
}
