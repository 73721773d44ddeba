//! Turns dlib's networks into ONNX. The same input gives the same bytes, so that a converted
//! file has a checksum.
//!
//! Scales and batch normalisations are folded into the convolutions before them, in `f64`.

use attendance_models::dlib::FormatError;

use super::net::{Affine, Convolution, Kind, Layer, Loss, Net, Pool};
use crate::onnx::{Attribute, Dim, Graph};

/// Returns the embedder as ONNX, from `dlib_face_recognition_resnet_model_v1.dat`.
///
/// Input `image`: `f32[1, 3, 150, 150]`, an aligned face, RGB, each value `(pixel - average) / 256` with the averages
/// 122.782, 117.001, 104.298. Output `embedding`: `f32[1, 128]`, not normalised.
///
/// # Errors
/// [`FormatError`] if the bytes are not that network.
pub fn embedder(file: &str, dat: &[u8]) -> Result<Vec<u8>, FormatError> {
    let net = Net::parse(file, dat, Loss::Metric, &embedder_architecture())?;
    let mut builder = Builder::new("face_embedder", Some([150, 150]));
    builder.add_all(&net).map_err(|what| misfit(file, dat, what))?;
    Ok(builder.graph.finish("embedding", &[Dim::Size(1), Dim::Size(128)]))
}

/// Returns the CNN face detector as ONNX, from `mmod_human_face_detector.dat`.
///
/// Input `image`: `f32[1, 3, H, W]`, normalised as for [`embedder`]. Output `score`: `f32[1, 1, h, w]`, one score per
/// cell; cell (column c, row r) looks at the 80 x 80 window around (8c + 14, 8r + 14), and is a face above 0.
///
/// # Errors
/// [`FormatError`] if the bytes are not that network.
pub fn detector(file: &str, dat: &[u8]) -> Result<Vec<u8>, FormatError> {
    let net = Net::parse(file, dat, Loss::Mmod, &detector_architecture())?;
    let mut builder = Builder::new("face_detector", None);
    builder.add_all(&net).map_err(|what| misfit(file, dat, what))?;
    // Naming the output's sides would contradict a reader that fixes H and W.
    Ok(builder.graph.finish("score", &[Dim::Size(1), Dim::Size(1), Dim::Unknown, Dim::Unknown]))
}

fn misfit(file: &str, dat: &[u8], what: String) -> FormatError {
    FormatError { file: file.to_owned(), offset: dat.len(), what }
}

fn embedder_architecture() -> Vec<Kind> {
    use Kind::{AddPrevious, Affine, AveragePool, Convolution, Dense, MaxPool, Relu, Skip, Tag};
    let same = [Tag(1), Convolution, Affine, Relu, Convolution, Affine, AddPrevious(1), Relu];
    let down = [
        &[Tag(1), Convolution, Affine, Relu, Convolution, Affine][..],
        &[Tag(2), Skip(1), AveragePool, AddPrevious(2), Relu],
    ]
    .concat();
    let mut layers = vec![Convolution, Affine, Relu, MaxPool];
    layers.extend([&same[..]; 3].concat());
    for sames in [3, 2, 2, 0] {
        layers.extend(&down);
        layers.extend(vec![&same[..]; sames].concat());
    }
    layers.extend([AveragePool, Dense]);
    layers
}

fn detector_architecture() -> Vec<Kind> {
    let mut layers = [Kind::Convolution, Kind::Affine, Kind::Relu].repeat(6);
    layers.push(Kind::Convolution);
    layers
}

/// A value of the graph, with its shape for the given input.
#[derive(Debug, Clone)]
struct Value {
    name: String,
    channels: usize,
    /// Rows, columns, if the input's are known.
    size: Option<[usize; 2]>,
}

struct Builder {
    graph: Graph,
    value: Value,
    tags: [Option<Value>; 3],
    count: usize,
}

impl Builder {
    fn new(name: &str, size: Option<[usize; 2]>) -> Self {
        let mut graph = Graph::new(name);
        let [rows, columns] = match size {
            Some(size) => size.map(Dim::Size),
            None => ["H", "W"].map(Dim::Symbol),
        };
        let image = graph.input("image", &[Dim::Size(1), Dim::Size(3), rows, columns]);
        Self { graph, value: Value { name: image, channels: 3, size }, tags: [const { None }; 3], count: 0 }
    }

    fn name(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what}_{}", self.count)
    }

    fn add_all(&mut self, net: &Net) -> Result<(), String> {
        let mut layers = net.layers.iter().peekable();
        while let Some(layer) = layers.next() {
            match layer {
                Layer::Convolution(convolution) => {
                    let affine = match layers.peek() {
                        Some(Layer::Affine(affine)) => Some(affine),
                        _ => None,
                    };
                    self.convolution(convolution, affine)?;
                    if affine.is_some() {
                        layers.next();
                    }
                }
                Layer::Affine(_) => return Err("a scale does not follow a convolution".to_owned()),
                Layer::Relu => self.unary("relu", "Relu", &[]),
                Layer::MaxPool(pool) => self.pool("MaxPool", pool)?,
                Layer::AveragePool(pool) if pool.size == [0, 0] => {
                    self.unary("mean", "GlobalAveragePool", &[]);
                    self.value.size = Some([1, 1]);
                }
                Layer::AveragePool(pool) => self.pool("AveragePool", pool)?,
                Layer::Tag(tag) => self.tags[usize::from(*tag)] = Some(self.value.clone()),
                Layer::Skip(tag) => self.value = self.tagged(*tag)?,
                Layer::AddPrevious(tag) => self.add(*tag)?,
                Layer::Dense(dense) => {
                    if dense.inputs != self.value.channels || self.value.size != Some([1, 1]) {
                        return Err(format!("{} inputs do not fit {:?}", dense.inputs, self.value));
                    }
                    self.unary("flat", "Flatten", &[]);
                    let name = self.name("dense");
                    let weights =
                        self.graph.floats(format!("{name}.weights"), &[dense.inputs, dense.outputs], &dense.weights);
                    let name = self.graph.node(name, "MatMul", &[&self.value.name, &weights], &[]);
                    self.value = Value { name, channels: dense.outputs, size: Some([1, 1]) };
                }
            }
        }
        Ok(())
    }

    fn tagged(&self, tag: u8) -> Result<Value, String> {
        self.tags[usize::from(tag)].clone().ok_or_else(|| format!("nothing has the tag {tag}"))
    }

    /// A node that keeps the shape.
    fn unary(&mut self, what: &str, operator: &str, attributes: &[Attribute<'_>]) {
        let name = self.name(what);
        self.value.name = self.graph.node(name, operator, &[&self.value.name], attributes);
    }

    fn convolution(&mut self, convolution: &Convolution, affine: Option<&Affine>) -> Result<(), String> {
        let [outputs, inputs, rows, columns] = convolution.shape;
        if inputs != self.value.channels {
            return Err(format!("a convolution of {inputs} channels does not fit {:?}", self.value));
        }
        let (filters, biases) = fold(convolution, affine)?;
        let size = self.next_size([rows, columns], convolution.stride, convolution.padding)?;
        // On a single pixel all other taps meet padding only.
        let alone = self.value.size == Some([1, 1]) && size == Some([1, 1]);
        let (filters, kernel, padding) = match alone {
            true => {
                let centre = convolution.padding[0] * columns + convolution.padding[1];
                let filters = filters.chunks(rows * columns).map(|filter| filter[centre]).collect();
                (filters, [1, 1], [0, 0])
            }
            false => (filters, [rows, columns], convolution.padding),
        };
        let name = self.name("convolution");
        let filters = self.graph.floats(format!("{name}.filters"), &[outputs, inputs, kernel[0], kernel[1]], &filters);
        let biases = self.graph.floats(format!("{name}.biases"), &[outputs], &biases);
        let attributes = window(kernel, convolution.stride, padding);
        let name = self.graph.node(name, "Conv", &[&self.value.name, &filters, &biases], &borrowed(&attributes));
        self.value = Value { name, channels: outputs, size };
        Ok(())
    }

    fn pool(&mut self, operator: &str, pool: &Pool) -> Result<(), String> {
        if pool.padding != [0, 0] {
            return Err("a pooling window has padding".to_owned());
        }
        let size = self.next_size(pool.size, pool.stride, pool.padding)?;
        let attributes = window(pool.size, pool.stride, pool.padding);
        self.unary("pool", operator, &borrowed(&attributes));
        self.value.size = size;
        Ok(())
    }

    fn next_size(
        &self,
        window: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
    ) -> Result<Option<[usize; 2]>, String> {
        let Some(size) = self.value.size else { return Ok(None) };
        let mut next = [0; 2];
        for axis in 0..2 {
            let room = padding[axis].checked_mul(2).and_then(|sides| sides.checked_add(size[axis]));
            let room = room.and_then(|room| room.checked_sub(window[axis]));
            next[axis] =
                1 + room.ok_or_else(|| format!("a window of {window:?} does not fit {size:?}"))? / stride[axis];
        }
        Ok(Some(next))
    }

    /// Adds a tagged value. dlib lays both into a tensor that holds either, from the first channel, row and column on,
    /// with zeros around.
    fn add(&mut self, tag: u8) -> Result<(), String> {
        let (value, other) = (self.value.clone(), self.tagged(tag)?);
        let (Some(a), Some(b)) = (value.size, other.size) else {
            return Err("a sum of values of unknown size".to_owned());
        };
        let channels = value.channels.max(other.channels);
        let size = [a[0].max(b[0]), a[1].max(b[1])];
        let left = self.padded(other, channels, size);
        let right = self.padded(value, channels, size);
        let name = self.name("sum");
        let name = self.graph.node(name, "Add", &[&left, &right], &[]);
        self.value = Value { name, channels, size: Some(size) };
        Ok(())
    }

    fn padded(&mut self, value: Value, channels: usize, size: [usize; 2]) -> String {
        let [rows, columns] = value.size.unwrap_or(size);
        let ends = [0, channels - value.channels, size[0] - rows, size[1] - columns];
        if ends == [0; 4] {
            return value.name;
        }
        let name = self.name("pad");
        let widths = [[0; 4], ends.map(|width| width as i64)].concat();
        let widths = self.graph.ints(format!("{name}.widths"), &widths);
        self.graph.node(name, "Pad", &[&value.name, &widths], &[])
    }
}

type Window = [(&'static str, Vec<usize>); 3];

fn window(size: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Window {
    [("kernel_shape", size.to_vec()), ("pads", [padding, padding].concat()), ("strides", stride.to_vec())]
}

fn borrowed(window: &Window) -> [Attribute<'_>; 3] {
    window.each_ref().map(|(name, values)| Attribute::Ints(name, values))
}

/// Filters and biases of a convolution with the scale and shift that follow it.
fn fold(convolution: &Convolution, affine: Option<&Affine>) -> Result<(Vec<f32>, Vec<f32>), String> {
    let Some(affine) = affine else { return Ok((convolution.filters.clone(), convolution.biases.clone())) };
    let [outputs, inputs, rows, columns] = convolution.shape;
    if affine.gamma.len() != outputs {
        return Err(format!("a scale of {} channels follows a convolution with {outputs}", affine.gamma.len()));
    }
    let filters = convolution
        .filters
        .chunks(inputs * rows * columns)
        .zip(&affine.gamma)
        .flat_map(|(filter, gamma)| filter.iter().map(move |&weight| (f64::from(weight) * gamma) as f32))
        .collect();
    let biases = convolution
        .biases
        .iter()
        .zip(affine.gamma.iter().zip(&affine.beta))
        .map(|(&bias, (gamma, beta))| (f64::from(bias) * gamma + beta) as f32)
        .collect();
    Ok((filters, biases))
}

#[cfg(test)]
mod tests;
