//! Each kind of vector instructions against sums written out.

use super::{Image, Layer, Level, SeparableLayers, SeparableNetwork, SeparableScratch, Stem, Unit};
use crate::SimdLevel;

/// How far sums may lie apart that were added in another order, as part of the largest value.
const TOLERANCE: f32 = 1e-4;

/// Numbers that are the same in every run (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// `count` weights around zero that keep `fan` inputs' sum about as large as they are.
    fn weights(&mut self, count: usize, fan: usize) -> Vec<f32> {
        let scale = 3.0 / (fan as f32).sqrt();
        (0..count).map(|_| (self.next() % 2001) as f32 / 1000.0 - 1.0).map(|w| w * scale).collect()
    }

    fn unit(&mut self, inputs: usize, outputs: usize, relu: bool) -> Unit {
        Unit {
            inputs,
            outputs,
            pointwise: self.weights(outputs * inputs, inputs),
            pointwise_biases: self.weights(outputs, 1),
            depthwise: self.weights(outputs * 9, 9),
            depthwise_biases: self.weights(outputs, 1),
            relu,
        }
    }

    /// Up to three levels of some units and channels that are seldom a multiple of anything.
    fn layers(&mut self) -> SeparableLayers {
        let mut channels = [5, 16, 20][self.below(3)];
        let mut filters = self.weights(channels * 27, 27);
        filters.iter_mut().for_each(|weight| *weight /= 255.0);
        let stem = Stem { filters, biases: self.weights(channels, 1) };
        let shared = [16, 37, 48, 64][self.below(4)];
        let mut levels = Vec::new();
        for number in 0..1 + self.below(3) {
            let mut layers = Vec::new();
            if number > 0 || self.below(2) == 0 {
                layers.push(Layer::MaxPool);
            }
            for _ in 0..self.below(3) {
                let outputs = 1 + self.below(70);
                layers.push(Layer::Unit(self.unit(channels, outputs, true)));
                channels = outputs;
            }
            if number == 0 && self.below(2) == 0 {
                layers.push(Layer::MaxPool);
            }
            layers.push(Layer::Unit(self.unit(channels, shared, true)));
            channels = shared;
            let tower = (0..self.below(2)).map(|_| self.unit(shared, shared, true)).collect();
            let heads = [1, 4, 10][..1 + self.below(3)].iter().map(|&n| self.unit(shared, n, false)).collect();
            levels.push(Level { layers, lateral: self.unit(shared, shared, true), tower, heads });
        }
        SeparableLayers { stem, levels }
    }
}

/// `[row][column][channel]`.
#[derive(Clone)]
struct Map {
    width: usize,
    height: usize,
    channels: usize,
    values: Vec<f32>,
}

impl Map {
    fn make(width: usize, height: usize, channels: usize, value: impl Fn(usize, usize, usize) -> f32) -> Self {
        let mut values = Vec::with_capacity(width * height * channels);
        for y in 0..height {
            for x in 0..width {
                values.extend((0..channels).map(|c| value(x, y, c)));
            }
        }
        Self { width, height, channels, values }
    }

    /// The value there, zero outside.
    fn at(&self, x: usize, y: usize, dx: usize, dy: usize, channel: usize) -> f32 {
        match ((x + dx).checked_sub(1), (y + dy).checked_sub(1)) {
            (Some(x), Some(y)) if x < self.width && y < self.height => {
                self.values[(y * self.width + x) * self.channels + channel]
            }
            _ => 0.0,
        }
    }

    fn get(&self, x: usize, y: usize, channel: usize) -> f32 {
        self.at(x, y, 1, 1, channel)
    }

    fn unit(&self, unit: &Unit) -> Self {
        let dense = Self::make(self.width, self.height, unit.outputs, |x, y, output| {
            let weights = &unit.pointwise[output * unit.inputs..][..unit.inputs];
            let sum: f32 = weights.iter().enumerate().map(|(input, weight)| weight * self.get(x, y, input)).sum();
            sum + unit.pointwise_biases[output]
        });
        Self::make(self.width, self.height, unit.outputs, |x, y, output| {
            let taps = (0..9).map(|tap| unit.depthwise[output * 9 + tap] * dense.at(x, y, tap % 3, tap / 3, output));
            let sum = taps.sum::<f32>() + unit.depthwise_biases[output];
            if unit.relu { sum.max(0.0) } else { sum }
        })
    }

    fn pooled(&self) -> Self {
        Self::make(self.width / 2, self.height / 2, self.channels, |x, y, channel| {
            (0..4).map(|i| self.get(2 * x + i % 2, 2 * y + i / 2, channel)).fold(f32::NEG_INFINITY, f32::max)
        })
    }

    fn plus_doubled(&self, coarse: &Self) -> Self {
        let value = |x, y, channel| self.get(x, y, channel) + coarse.get(x / 2, y / 2, channel);
        Self::make(self.width, self.height, self.channels, value)
    }
}

/// The heads' results side by side, the finest level first.
fn reference(layers: &SeparableLayers, picture: &Map) -> Vec<Map> {
    let Stem { filters, biases } = &layers.stem;
    let mut features = Map::make(picture.width / 2, picture.height / 2, biases.len(), |x, y, output| {
        let taps = (0..27).map(|i| filters[output * 27 + i] * picture.at(2 * x, 2 * y, i / 3 % 3, i / 9, i % 3));
        (taps.sum::<f32>() + biases[output]).max(0.0)
    });
    let mut kept = Vec::new();
    for level in &layers.levels {
        for layer in &level.layers {
            features = match layer {
                Layer::Unit(unit) => features.unit(unit),
                Layer::MaxPool => features.pooled(),
            };
        }
        kept.push(features.clone());
    }
    let (mut coarser, mut results) = (None, Vec::new());
    for (level, features) in layers.levels.iter().zip(kept).rev() {
        let sum = match &coarser {
            Some(coarser) => features.plus_doubled(coarser),
            None => features,
        };
        let lateral = sum.unit(&level.lateral);
        let seen = level.tower.iter().fold(lateral.clone(), |seen, unit| seen.unit(unit));
        let heads: Vec<Map> = level.heads.iter().map(|head| seen.unit(head)).collect();
        let values = (0..seen.width * seen.height)
            .flat_map(|cell| heads.iter().flat_map(move |h| h.values[cell * h.channels..][..h.channels].to_vec()))
            .collect();
        let channels = heads.iter().map(|head| head.channels).sum();
        results.push(Map { values, channels, ..seen });
        coarser = Some(lateral);
    }
    results.reverse();
    results
}

/// The picture with its sides padded by zeros.
fn padded(width: usize, height: usize, bytes: &[u8], alignment: usize) -> Map {
    Map::make(width.next_multiple_of(alignment), height.next_multiple_of(alignment), 3, |x, y, channel| {
        if x < width && y < height { f32::from(bytes[(y * width + x) * 3 + channel]) } else { 0.0 }
    })
}

#[test]
fn every_level_equals_the_sums_written_out() {
    let mut random = Random(0x5eed);
    let mut scratches: Vec<SeparableScratch> = Vec::new();
    for _ in 0..60 {
        let layers = random.layers();
        let (width, height) = (1 + random.below(150), 1 + random.below(90));
        let bytes: Vec<u8> = (0..width * height * 3).map(|_| random.below(256) as u8).collect();
        let pools = layers.levels.iter().flat_map(|l| &l.layers).filter(|l| matches!(l, Layer::MaxPool)).count();
        let expected = reference(&layers, &padded(width, height, &bytes, 2 << pools));
        for (number, simd) in SimdLevel::available().enumerate() {
            let network = SeparableNetwork::new(&layers, simd).unwrap();
            scratches.resize_with(scratches.len().max(number + 1), SeparableScratch::default);
            let found = network.run(&mut scratches[number], Image::new(width, height, &bytes).unwrap());
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!((found.columns, found.rows), (expected.width, expected.height), "{simd}");
                let largest = expected.values.iter().fold(1.0_f32, |a, b| a.max(b.abs()));
                let cells = expected.values.chunks_exact(expected.channels);
                assert_eq!(found.cells().len(), cells.len());
                for (found, expected) in found.cells().flatten().zip(cells.flatten()) {
                    let apart = (found - expected).abs() / largest;
                    assert!(apart < TOLERANCE, "{simd}, {width}x{height}: {found} is not {expected}");
                }
            }
        }
    }
}

#[test]
fn a_run_leaves_nothing_behind_for_the_next() {
    let mut random = Random(0xf00d);
    let layers = random.layers();
    let network = SeparableNetwork::new(&layers, SimdLevel::detect()).unwrap();
    let bytes: Vec<u8> = (0..90 * 70 * 3).map(|_| random.below(256) as u8).collect();
    let (small, large) = (Image::new(41, 30, &bytes[..41 * 30 * 3]).unwrap(), Image::new(90, 70, &bytes).unwrap());
    let values = |scratch: &mut SeparableScratch, image| -> Vec<f32> {
        network.run(scratch, image).iter().flat_map(|level| level.cells().flatten()).copied().collect()
    };
    let (first, mut scratch) = (values(&mut SeparableScratch::default(), small), SeparableScratch::default());
    let _ = values(&mut scratch, large);
    assert_eq!(values(&mut scratch, small), first);
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let build = |change: fn(&mut SeparableLayers)| {
        let mut random = Random(0xbeef);
        let mut unit = |inputs, outputs| random.unit(inputs, outputs, true);
        let level = Level {
            layers: vec![Layer::MaxPool, Layer::Unit(unit(16, 32))],
            lateral: unit(32, 32),
            tower: vec![],
            heads: vec![unit(32, 4), unit(32, 1)],
        };
        let second = Level { layers: vec![Layer::MaxPool, Layer::Unit(unit(32, 32))], ..level.clone() };
        let stem = Stem { filters: vec![0.0; 16 * 27], biases: vec![0.0; 16] };
        let mut layers = SeparableLayers { stem, levels: vec![level, second] };
        change(&mut layers);
        SeparableNetwork::new(&layers, SimdLevel::detect()).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(build(|_| {}), Ok(()));
    type Case = (fn(&mut SeparableLayers), &'static str);
    let cases: [Case; 7] = [
        (|l| l.levels.clear(), "no levels"),
        (|l| l.levels[0].heads.clear(), "no heads"),
        (|l| l.levels[0].heads[0].relu = false, "some heads"),
        (|l| l.stem.filters.truncate(7), "a stem of 16 outputs"),
        (|l| l.levels[1].lateral.depthwise.truncate(7), "a unit from 32 to 32"),
        (
            |l| l.stem = Stem { filters: vec![0.0; 8 * 27], biases: vec![0.0; 8] },
            "sees 16 values follows one that makes 8",
        ),
        (|l| l.levels[1].layers = vec![], "does not halve"),
    ];
    for (change, part) in cases {
        let error = build(change).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_picture_has_as_many_bytes_as_its_sides_say() {
    assert!(Image::new(2, 3, &[0; 18]).is_some());
    for (width, height, bytes) in [(2, 3, 17), (2, 3, 19), (0, 3, 0), (usize::MAX, 2, 6)] {
        assert!(Image::new(width, height, &vec![0; bytes]).is_none());
    }
}
