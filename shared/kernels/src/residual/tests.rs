use super::reference::{self, Tensor};
use super::*;

/// Numbers that are the same on every run (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// Between -1 and 1.
    fn number(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn weights(&mut self, count: usize, size: f32) -> Vec<WeightBytes> {
        (0..count).map(|_| (self.number() * size).to_le_bytes()).collect()
    }

    fn picture(&mut self, side: usize) -> Vec<u8> {
        (0..side * side * 3).map(|_| self.next() as u8).collect()
    }
}

/// A convolution's weights, of a size that keeps its outputs near 1.
struct Filters {
    shape: [usize; 5],
    filters: Vec<WeightBytes>,
    biases: Vec<WeightBytes>,
}

impl Filters {
    /// `shape`: outputs, inputs, kernel, stride, padding.
    fn random(random: &mut Random, shape: [usize; 5]) -> Self {
        let [outputs, inputs, kernel, ..] = shape;
        let count = inputs * kernel * kernel;
        let filters = random.weights(outputs * count, 2.0 / (count as f32).sqrt());
        Self { shape, filters, biases: random.weights(outputs, 0.5) }
    }

    fn convolution(&self) -> Convolution<'_> {
        let [outputs, inputs, kernel, stride, padding] = self.shape;
        Convolution { outputs, inputs, kernel, stride, padding, filters: &self.filters, biases: &self.biases }
    }
}

fn random_map(random: &mut Random, shape: Shape) -> Map {
    let mut map = Map::zeros(shape.channels, shape.side, shape.border, shape.outer);
    for chunk in 0..shape.channels / CHUNK {
        for pixel in 0..shape.side * shape.side {
            let at = map.at(chunk, pixel / shape.side, pixel % shape.side);
            map.numbers[at..][..CHUNK].iter_mut().for_each(|number| *number = random.number().max(0.0));
        }
    }
    map
}

fn tensor(map: &Map) -> Tensor {
    let side = map.side;
    let number = |i: usize| {
        let (channel, pixel) = (i / (side * side), i % (side * side));
        f64::from(map.numbers[map.at(channel / CHUNK, pixel / side, pixel % side) + channel % CHUNK])
    };
    Tensor { channels: map.channels, side, numbers: (0..map.channels * side * side).map(number).collect() }
}

fn worst(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    // A NaN is no good answer, and would be lost by `f64::max`.
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, |a, b| if a >= b { a } else { b })
}

/// Checks one convolution by every level and precision.
fn check(shape: [usize; 5], side: usize, method: Method) {
    let mut random = Random(side as u64);
    let filters = Filters::random(&mut random, shape);
    let convolution = filters.convolution();
    for level in SimdLevel::available() {
        let kernels = Kernels::of(level);
        // Larger tiles make errors of the codes larger.
        let codes_tolerance =
            if method == (Method::Winograd { tile: 2 }) || method == Method::Taps { 3e-4 } else { 1.5e-3 };
        for (precision, tolerance) in [(Precision::Exact, 2e-5), (Precision::Codes, codes_tolerance)] {
            let packed = Packed::new(&kernels, &convolution, method, precision);
            let mut input_shape = Shape::new(shape[1], side);
            input_shape.widen(&packed);
            let input = random_map(&mut random, input_shape);
            // Larger than what is computed, as behind a block that halves; what lies beyond is left alone.
            let output_side = packed.output_side(side) + usize::from(shape[3] == 2);
            for add in [false, true] {
                let mut output = random_map(
                    &mut random,
                    Shape { border: 1, outer: output_side + 3, ..Shape::new(shape[0], output_side) },
                );
                let before = tensor(&output);
                let mut work = Buffer::zeros(packed.work(side));
                work.fill(f32::NAN);
                packed.run(&kernels, &input, &mut work, &mut output, add);
                let convolved = reference::convolve(&tensor(&input), &convolution);
                let expected = Tensor {
                    numbers: (0..before.numbers.len())
                        .map(|i| {
                            let (channel, pixel) = (i / (output_side * output_side), i % (output_side * output_side));
                            let (row, column) = (pixel / output_side, pixel % output_side);
                            let there = before.numbers[i];
                            match row < convolved.side && column < convolved.side {
                                true => (convolved.at(channel, row, column) + if add { there } else { 0.0 }).max(0.0),
                                false => there,
                            }
                        })
                        .collect(),
                    ..before
                };
                let error = worst(&tensor(&output).numbers, &expected.numbers);
                assert!(
                    error < tolerance,
                    "{level}, {method:?}, {precision:?}, {shape:?}, side {side}, add {add}: {error:e}"
                );
                let all: f64 = output.numbers.iter().map(|number| f64::from(number.abs())).sum();
                let inner: f64 = tensor(&output).numbers.iter().map(|number| number.abs()).sum();
                assert!((all - inner).abs() < 1e-6 * inner, "{level}: the border is no longer zero");
            }
        }
    }
}

#[test]
fn winograd_equals_the_convolution() {
    for tile in 2..=4 {
        for (channels, side) in
            [([32, 32], 35), ([64, 64], 17), ([96, 32], 8), ([32, 64], 13), ([32, 32], 1), ([32, 32], 2)]
        {
            check([channels[0], channels[1], 3, 1, 1], side, Method::Winograd { tile });
        }
    }
}

#[test]
fn taps_equal_the_convolution() {
    for (shape, side) in [
        ([64, 32, 3, 2, 0], 35),
        ([32, 64, 3, 2, 0], 17),
        ([64, 32, 3, 2, 0], 8),
        ([32, 32, 3, 2, 0], 4),
        ([32, 32, 3, 2, 0], 3),
        ([64, 64, 3, 1, 1], 4),
        ([32, 96, 3, 1, 1], 3),
        ([32, 32, 3, 1, 1], 2),
        ([32, 32, 3, 1, 1], 1),
        ([32, 32, 3, 1, 1], 40),
        ([96, 64, 1, 1, 0], 1),
        ([32, 32, 1, 1, 0], 7),
    ] {
        check(shape, side, Method::Taps);
    }
}

#[test]
fn a_product_takes_any_number_of_rows() {
    let mut random = Random(7);
    for level in SimdLevel::available() {
        let kernels = Kernels::of(level);
        let panel = kernels.panel;
        for rows in 1..=40 {
            let activations: Vec<f32> = (0..rows * 2 * CHUNK).map(|_| random.number()).collect();
            let weights: Vec<f32> = (0..2 * CHUNK * panel).map(|_| random.number()).collect();
            // Backwards, with gaps.
            let places: Vec<usize> = (0..rows).map(|row| 2 * (rows - 1 - row)).collect();
            let before: Vec<f32> = (0..2 * rows * panel).map(|_| random.number()).collect();
            let mut sums = before.clone();
            let (activations, places) = (&activations[..], &places[..]);
            let product =
                Product { activations, chunk_step: rows * CHUNK, chunks: 2, rows, sums: &mut sums, places, add: true };
            kernels.multiply(&weights, product);
            let mut expected: Vec<f64> = before.into_iter().map(f64::from).collect();
            for (row, place) in places.iter().enumerate() {
                for lane in 0..panel {
                    for depth in 0..2 * CHUNK {
                        let activation = activations[(depth / CHUNK * rows + row) * CHUNK + depth % CHUNK];
                        expected[place * panel + lane] += f64::from(activation * weights[depth * panel + lane]);
                    }
                }
            }
            let sums: Vec<f64> = sums.into_iter().map(f64::from).collect();
            let error = worst(&sums, &expected);
            assert!(error < 2e-5, "{level}, {rows} rows: {error:e}");
        }
    }
}

/// The layers of a network: pairs of convolutions, each of outputs, and whether it halves.
struct Layers {
    side: usize,
    stem: Filters,
    blocks: Vec<[Filters; 2]>,
    dense: Vec<WeightBytes>,
}

impl Layers {
    fn random(random: &mut Random, side: usize, channels: usize, blocks: &[(usize, bool)]) -> Self {
        let stem = Filters::random(random, [channels, 3, 7, 2, 0]);
        let mut inputs = channels;
        let blocks = blocks
            .iter()
            .map(|&(outputs, halves)| {
                let (stride, padding) = if halves { (2, 0) } else { (1, 1) };
                let first = Filters::random(random, [outputs, inputs, 3, stride, padding]);
                inputs = outputs;
                [first, Filters::random(random, [outputs, outputs, 3, 1, 1])]
            })
            .collect();
        Self { side, stem, blocks, dense: random.weights(inputs * 64, 1.0 / (inputs as f32).sqrt()) }
    }

    fn layers(&self) -> ResidualLayers<'_> {
        ResidualLayers {
            side: self.side,
            mean: [120.0, 110.5, 100.25],
            scale: 1.0 / 128.0,
            stem: self.stem.convolution(),
            blocks: (self.blocks.iter())
                .map(|[first, second]| Block { first: first.convolution(), second: second.convolution() })
                .collect(),
            outputs: 64,
            dense: &self.dense,
        }
    }
}

/// Checks a network by every level. From the second picture on, a run finds maps that were used.
fn check_network(layers: &Layers, pictures: &[Vec<u8>]) {
    let layers = layers.layers();
    let expected: Vec<_> = pictures.iter().map(|picture| reference::run(&layers, picture)).collect();
    for level in SimdLevel::available() {
        let network = ResidualNetwork::new(&layers, level).unwrap();
        for (picture, expected) in pictures.iter().zip(&expected) {
            let found: Vec<f64> = network.run(picture).into_iter().map(f64::from).collect();
            let size = expected.iter().fold(0.0, |size: f64, number| size.max(number.abs()));
            let error = worst(&found, expected) / size;
            assert!(error < 1e-3, "{level}, side {}: {error:e} of {size}", layers.side);
        }
    }
}

#[test]
fn networks_of_many_shapes_equal_their_definition() {
    let mut random = Random(1);
    for side in [11, 31, 43, 64, 90] {
        for blocks in [&[][..], &[(32, false)], &[(64, true), (64, false), (64, false)], &[(32, false), (96, true)]] {
            // One row is left of the smallest picture, which no block can halve.
            let blocks = if side == 11 { &[(32, false), (32, false)][..] } else { blocks };
            let pictures = [random.picture(side), random.picture(side)];
            check_network(&Layers::random(&mut random, side, 32, blocks), &pictures);
        }
    }
}

#[test]
fn a_network_of_the_embedders_shape_equals_its_definition() {
    let mut random = Random(2);
    let mut blocks = vec![(32, false); 3];
    for (channels, sames) in [(64, 3), (128, 2), (256, 2), (256, 0)] {
        blocks.push((channels, true));
        blocks.extend(vec![(channels, false); sames]);
    }
    let pictures = [random.picture(150)];
    check_network(&Layers::random(&mut random, 150, 32, &blocks), &pictures);
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let mut random = Random(3);
    let whole = Layers::random(&mut random, 64, 32, &[(32, false), (64, true)]);
    let level = SimdLevel::detect();
    assert!(ResidualNetwork::new(&whole.layers(), level).is_ok());
    type Damage = fn(&mut ResidualLayers<'_>);
    let damages: [(&str, Damage); 9] = [
        ("a picture of 10", |layers| layers.side = 10),
        ("the first convolution", |layers| layers.stem.stride = 1),
        ("3 channels", |layers| layers.stem.filters = &layers.stem.filters[1..]),
        ("a block begins", |layers| layers.blocks[0].first.stride = 3),
        ("a block ends", |layers| layers.blocks[0].second.padding = 0),
        ("meets 32 channels", |layers| layers.blocks[1].first.inputs = 64),
        ("meets 64 channels", |layers| layers.blocks[1].second.biases = &layers.blocks[1].second.biases[1..]),
        ("meets 64 channels", |layers| layers.blocks.swap(0, 1)),
        ("64 channels meet a matrix", |layers| layers.outputs = 32),
    ];
    for (message, damage) in damages {
        let mut layers = whole.layers();
        damage(&mut layers);
        let refusal = ResidualNetwork::new(&layers, level).unwrap_err().to_string();
        assert!(refusal.contains(message), "{refusal}");
    }
}
