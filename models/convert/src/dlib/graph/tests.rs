//! The graphs, run by tract, against the layers computed one by one as dlib does.

use tract_onnx::prelude::*;

use super::super::net::Dense;
use super::*;

/// Channels, rows, columns and values of one picture.
#[derive(Debug, Clone)]
struct Map {
    shape: [usize; 3],
    values: Vec<f64>,
}

impl Map {
    fn of(shape: [usize; 3], value: impl Fn(usize, usize, usize) -> f64) -> Self {
        let [channels, rows, columns] = shape;
        let cells = (0..channels).flat_map(|c| (0..rows).flat_map(move |y| (0..columns).map(move |x| (c, y, x))));
        Self { shape, values: cells.map(|(c, y, x)| value(c, y, x)).collect() }
    }

    /// The value there, 0 outside.
    fn at(&self, channel: usize, row: usize, column: usize) -> f64 {
        let [channels, rows, columns] = self.shape;
        let inside = channel < channels && row < rows && column < columns;
        if inside { self.values[(channel * rows + row) * columns + column] } else { 0.0 }
    }
}

fn forward(net: &Net, image: Map) -> Map {
    let (mut value, mut tags) = (image, [const { None }; 3]);
    for layer in &net.layers {
        let [channels, rows, columns] = value.shape;
        let pooled = |pool: &Pool| {
            [channels, 1 + (rows - pool.size[0]) / pool.stride[0], 1 + (columns - pool.size[1]) / pool.stride[1]]
        };
        let window = |pool: &Pool, c: usize, y: usize, x: usize| -> Vec<f64> {
            let [sy, sx] = pool.stride;
            let cells = (0..pool.size[0]).flat_map(|dy| (0..pool.size[1]).map(move |dx| (dy, dx)));
            cells.map(|(dy, dx)| value.at(c, y * sy + dy, x * sx + dx)).collect()
        };
        value = match layer {
            Layer::Convolution(convolution) => {
                let [outputs, inputs, height, width] = convolution.shape;
                let ([sy, sx], [py, px]) = (convolution.stride, convolution.padding);
                let shape = [outputs, 1 + (rows + 2 * py - height) / sy, 1 + (columns + 2 * px - width) / sx];
                Map::of(shape, |c, y, x| {
                    let mut sum = f64::from(convolution.biases[c]);
                    for (index, &weight) in
                        convolution.filters.chunks(inputs * height * width).nth(c).unwrap().iter().enumerate()
                    {
                        let (input, dy, dx) = (index / (height * width), index / width % height, index % width);
                        let (row, column) = ((y * sy + dy).wrapping_sub(py), (x * sx + dx).wrapping_sub(px));
                        sum += f64::from(weight) * value.at(input, row, column);
                    }
                    sum
                })
            }
            Layer::Affine(affine) => {
                Map::of(value.shape, |c, y, x| affine.gamma[c] * value.at(c, y, x) + affine.beta[c])
            }
            Layer::Relu => Map::of(value.shape, |c, y, x| value.at(c, y, x).max(0.0)),
            Layer::MaxPool(pool) => {
                Map::of(pooled(pool), |c, y, x| window(pool, c, y, x).into_iter().fold(f64::MIN, f64::max))
            }
            Layer::AveragePool(pool) if pool.size == [0, 0] => Map::of([channels, 1, 1], |c, _, _| {
                value.values[c * rows * columns..(c + 1) * rows * columns].iter().sum::<f64>() / (rows * columns) as f64
            }),
            Layer::AveragePool(pool) => Map::of(pooled(pool), |c, y, x| {
                window(pool, c, y, x).iter().sum::<f64>() / (pool.size[0] * pool.size[1]) as f64
            }),
            Layer::Tag(tag) => {
                tags[usize::from(*tag)] = Some(value.clone());
                value
            }
            Layer::Skip(tag) => tags[usize::from(*tag)].clone().unwrap(),
            Layer::AddPrevious(tag) => {
                let other = tags[usize::from(*tag)].clone().unwrap();
                let shape = std::array::from_fn(|axis| value.shape[axis].max(other.shape[axis]));
                Map::of(shape, |c, y, x| value.at(c, y, x) + other.at(c, y, x))
            }
            Layer::Dense(dense) => Map::of([dense.outputs, 1, 1], |output, _, _| {
                (0..dense.inputs)
                    .map(|i| value.at(i, 0, 0) * f64::from(dense.weights[i * dense.outputs + output]))
                    .sum()
            }),
        };
    }
    value
}

/// Numbers between -1 and 1 that look random and are the same in every run.
fn numbers(seed: u32) -> impl Iterator<Item = f32> {
    let step = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    std::iter::successors(Some(seed), step).skip(1).map(|state| (state >> 8) as f32 / (1 << 23) as f32 - 1.0)
}

fn convolution(shape: [usize; 4], stride: usize, padding: usize, seed: u32) -> Layer {
    let mut numbers = numbers(seed);
    let filters = numbers.by_ref().take(shape.iter().product()).collect();
    let biases = numbers.take(shape[0]).collect();
    Layer::Convolution(Convolution { shape, filters, biases, stride: [stride; 2], padding: [padding; 2] })
}

fn affine(channels: usize, seed: u32) -> Layer {
    let mut numbers = numbers(seed).map(f64::from);
    Layer::Affine(Affine { gamma: numbers.by_ref().take(channels).collect(), beta: numbers.take(channels).collect() })
}

fn pool(size: usize) -> Pool {
    Pool { size: [size; 2], stride: if size == 0 { [1; 2] } else { [2; 2] }, padding: [0; 2] }
}

/// The largest difference between the file run by tract and the layers computed here.
fn worst(net: &Net, onnx: &[u8], size: [usize; 2]) -> f64 {
    let shape = [1, 3, size[0], size[1]];
    let image: Vec<f32> = numbers(99).take(3 * size[0] * size[1]).collect();
    let model = tract_onnx::onnx().model_for_read(&mut &*onnx).unwrap();
    let model = model.with_input_fact(0, f32::fact(shape).into()).unwrap().into_optimized().unwrap();
    let tensor = Tensor::from_shape(&shape, &image).unwrap();
    let output = model.into_runnable().unwrap().run(tvec!(tensor.into())).unwrap();
    let found = output[0].to_plain_array_view::<f32>().unwrap();
    let map = Map::of([3, size[0], size[1]], |c, y, x| f64::from(image[(c * size[0] + y) * size[1] + x]));
    let expected = forward(net, map);
    assert_eq!(found.len(), expected.values.len());
    found.iter().zip(&expected.values).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max)
}

#[test]
fn a_residual_net_gives_what_its_layers_give() {
    // 19 -> 9 -> 4; then 1 on the convolutions' branch and 2 on the other, 6 channels against 4, and a convolution that
    // sees a single pixel.
    let dense = Dense { inputs: 6, outputs: 5, weights: numbers(7).take(30).collect() };
    let layers = vec![
        convolution([4, 3, 3, 3], 2, 0, 1),
        affine(4, 2),
        Layer::Relu,
        Layer::MaxPool(pool(3)),
        Layer::Tag(1),
        convolution([4, 4, 3, 3], 1, 1, 3),
        affine(4, 4),
        Layer::AddPrevious(1),
        Layer::Tag(1),
        convolution([6, 4, 3, 3], 2, 0, 5),
        affine(6, 6),
        Layer::Relu,
        convolution([6, 6, 3, 3], 1, 1, 8),
        affine(6, 9),
        Layer::Tag(2),
        Layer::Skip(1),
        Layer::AveragePool(pool(2)),
        Layer::AddPrevious(2),
        Layer::Relu,
        Layer::AveragePool(pool(0)),
        Layer::Dense(dense),
    ];
    let net = Net { layers };
    let mut builder = Builder::new("test", Some([19, 19]));
    builder.add_all(&net).unwrap();
    let onnx = builder.graph.finish("embedding", &[Dim::Size(1), Dim::Size(5)]);
    let worst = worst(&net, &onnx, [19, 19]);
    assert!(worst < 1e-5, "{worst}");
}

#[test]
fn a_net_of_free_size_gives_what_its_layers_give_at_any_size() {
    let layers = vec![
        convolution([4, 3, 5, 5], 2, 0, 1),
        affine(4, 2),
        Layer::Relu,
        convolution([2, 4, 5, 5], 1, 2, 3),
        affine(2, 4),
        Layer::Relu,
        convolution([1, 2, 9, 9], 1, 4, 5),
    ];
    let net = Net { layers };
    let mut builder = Builder::new("test", None);
    builder.add_all(&net).unwrap();
    let onnx = builder.graph.finish("score", &[Dim::Size(1), Dim::Size(1), Dim::Unknown, Dim::Unknown]);
    for size in [[24, 31], [40, 17]] {
        let worst = worst(&net, &onnx, size);
        assert!(worst < 1e-4, "{size:?}: {worst}");
    }
}

#[test]
fn layers_that_do_not_fit_are_an_error() {
    let build = |layers: Vec<Layer>, size| Builder::new("test", Some(size)).add_all(&Net { layers }).unwrap_err();
    assert!(build(vec![convolution([1, 4, 1, 1], 1, 0, 1)], [5, 5]).contains("4 channels"));
    assert!(build(vec![convolution([1, 3, 7, 7], 1, 0, 1)], [5, 5]).contains("[7, 7] does not fit [5, 5]"));
    assert!(build(vec![Layer::AddPrevious(1)], [5, 5]).contains("tag 1"));
    assert!(build(vec![affine(3, 1)], [5, 5]).contains("does not follow"));
    assert!(build(vec![convolution([1, 3, 1, 1], 1, 0, 1), affine(3, 1)], [5, 5]).contains("a scale of 3"));
    let embedder = embedder("other.dat", b"\x01\x01\x02hi").unwrap_err();
    assert_eq!((embedder.file.as_str(), embedder.offset), ("other.dat", 2));
}
