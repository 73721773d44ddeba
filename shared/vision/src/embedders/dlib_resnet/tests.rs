use attendance_models::{ModelName, ModelsDir};

use super::*;

fn onnx() -> Vec<u8> {
    ModelsDir::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models")).verify(ModelName::EMBEDDER).unwrap()
}

/// A face-like picture: smooth colours, the same on every run.
fn chip(seed: u32) -> RgbImage {
    let mut random = fastrand::Rng::with_seed(seed.into());
    let waves: Vec<[f32; 4]> = (0..12).map(|_| std::array::from_fn(|_| random.f32())).collect();
    RgbImage::from_fn(CHIP_SIDE, CHIP_SIDE, |column, row| {
        let mut pixel = [128.0; 3];
        for [x, y, phase, size] in &waves {
            let angle = (column as f32 * x + row as f32 * y) * 0.4 + phase * 6.3;
            for (channel, value) in pixel.iter_mut().enumerate() {
                *value += size * 40.0 * (angle + channel as f32 * 0.3).sin();
            }
        }
        image::Rgb(pixel.map(|value| value as u8))
    })
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
}

#[test]
fn the_kernels_equal_tract_at_every_level() {
    let onnx = onnx();
    let tract = Runner::tract(&onnx).unwrap();
    for level in SimdLevel::available() {
        let kernels = Runner::kernels(&onnx, level).unwrap();
        for seed in 0..4 {
            let chip = chip(seed);
            let distance = distance(&kernels.run(&chip).unwrap(), &tract.run(&chip).unwrap());
            // Weights of 16 bits; golden embeddings may differ by 1e-3.
            assert!(distance < 2e-4, "{level}: {distance}");
        }
    }
}

#[test]
fn the_converted_model_runs_on_the_kernels() {
    assert!(matches!(DlibResnet::parse(&onnx()).unwrap().runner, Runner::Kernels(_)));
}

#[test]
fn another_graph_runs_on_tract() {
    let mut onnx = onnx();
    // The first of many: as long, and known to tract alone.
    let at = onnx.windows(4).position(|bytes| bytes == b"Relu").unwrap();
    onnx[at..at + 4].copy_from_slice(b"Tanh");
    let reason = Runner::kernels(&onnx, SimdLevel::detect()).err().unwrap();
    assert_eq!(reason, "node 2 is Tanh, not Relu");
    let embedder = DlibResnet::parse(&onnx).unwrap();
    assert!(matches!(embedder.runner, Runner::Tract(_)));
    assert_eq!(embedder.embed(&chip(0)).unwrap().values().len(), 128);
}

#[test]
fn damaged_bytes_are_an_error() {
    assert!(matches!(DlibResnet::parse(b"no network"), Err(VisionError::Network { .. })));
}
