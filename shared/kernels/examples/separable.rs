//! Times a network of YuNet-s's shape, with weights of no meaning, on each kind of vector instructions:
//!
//!     cargo run --release -p attendance-kernels --example separable -- [WIDTHxHEIGHT ...]
//!
//! With `--serve` it answers each line `LEVEL WIDTH HEIGHT` with the milliseconds of one run, so that another program can
//! alternate with it.

use std::io::BufRead;
use std::time::Instant;

use attendance_kernels::SimdLevel;
use attendance_kernels::separable::{
    Image, Layer, Level, SeparableLayers, SeparableNetwork, SeparableScratch, Stem, Unit,
};

const RUNS: usize = 60;

fn unit(inputs: usize, outputs: usize, relu: bool) -> Unit {
    let weights = |count: usize, fan: usize| -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 % 201) as f32 / 100.0 - 0.9) / (fan as f32).sqrt()).collect()
    };
    Unit {
        inputs,
        outputs,
        pointwise: weights(outputs * inputs, inputs),
        pointwise_biases: weights(outputs, 1),
        depthwise: weights(outputs * 9, 9),
        depthwise_biases: weights(outputs, 1),
        relu,
    }
}

fn yunet_s() -> SeparableLayers {
    let layer = |inputs, outputs| Layer::Unit(unit(inputs, outputs, true));
    let level = |layers| Level {
        layers,
        lateral: unit(64, 64, true),
        tower: vec![],
        heads: [1, 1, 4, 10].map(|outputs| unit(64, outputs, false)).to_vec(),
    };
    let fine = vec![
        layer(16, 16),
        Layer::MaxPool,
        layer(16, 16),
        layer(16, 32),
        layer(32, 32),
        layer(32, 64),
        Layer::MaxPool,
        layer(64, 64),
        layer(64, 64),
    ];
    let coarse = || vec![Layer::MaxPool, layer(64, 64), layer(64, 64)];
    let filters = (0..16 * 27).map(|i| ((i * 7919 % 201) as f32 / 100.0 - 0.9) / 700.0).collect();
    SeparableLayers {
        stem: Stem { filters, biases: vec![0.1; 16] },
        levels: vec![level(fine), level(coarse()), level(coarse())],
    }
}

fn time(network: &SeparableNetwork, scratch: &mut SeparableScratch, width: usize, height: usize) -> f64 {
    let bytes: Vec<u8> = (0..width * height * 3).map(|i| (i * 31 % 251) as u8).collect();
    let image = Image::new(width, height, &bytes).expect("as many bytes as the sides say");
    let start = Instant::now();
    std::hint::black_box(network.run(scratch, image));
    start.elapsed().as_secs_f64() * 1e3
}

fn main() {
    let layers = yunet_s();
    let networks: Vec<(SimdLevel, SeparableNetwork)> = SimdLevel::available()
        .map(|simd| (simd, SeparableNetwork::new(&layers, simd).expect("the layers fit")))
        .collect();
    let mut scratch = SeparableScratch::default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--serve") {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            let [level, width, height] = words.as_slice() else { panic!("LEVEL WIDTH HEIGHT, not {line:?}") };
            let (_, network) = networks.iter().find(|(simd, _)| simd.to_string() == *level).expect("a level");
            let (width, height) = (width.parse().expect("a width"), height.parse().expect("a height"));
            println!("{}", time(network, &mut scratch, width, height));
        }
        return;
    }
    let sizes =
        if arguments.is_empty() { ["640x480", "416x320", "320x256"].map(String::from).to_vec() } else { arguments };
    for size in sizes {
        let (width, height) = size.split_once('x').expect("WIDTHxHEIGHT");
        let (width, height) = (width.parse().expect("a width"), height.parse().expect("a height"));
        for (simd, network) in &networks {
            let mut times: Vec<f64> = (0..RUNS).map(|_| time(network, &mut scratch, width, height)).collect();
            times.sort_by(f64::total_cmp);
            println!("{size} {simd}: median {:.2} ms, best {:.2}", times[RUNS / 2], times[0]);
        }
    }
}
