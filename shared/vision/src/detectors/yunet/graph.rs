//! Recognises, in an ONNX graph, the network that the kernels run.
//!
//! Every output is followed back to the picture. A node that is not exactly what the kernels do ends the search, so a graph
//! that is recognised computes what [`SeparableLayers`] says and nothing else.

use std::collections::HashMap;

use attendance_kernels::separable::{Layer, Level, SeparableLayers, Stem, Unit};
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// The heads' outputs without their stride, and whether a sigmoid follows.
const HEADS: [(&str, bool); 4] = [("cls", true), ("obj", true), ("bbox", false), ("kps", false)];
/// The data type of `f32`.
const FLOAT: i32 = 1;

/// Returns the layers of a YuNet whose outputs are `cls_S`, `obj_S`, `bbox_S` and `kps_S` for these strides, the finest
/// first, or nothing if the graph is another. The stem takes RGB, where the graph takes BGR.
pub(super) fn recognize(graph: &GraphProto, strides: &[usize]) -> Option<SeparableLayers> {
    let makers = graph.node.iter().flat_map(|node| node.output.iter().map(move |output| (output.as_str(), node)));
    let constants = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor));
    let graph =
        Graph { makers: makers.collect(), constants: constants.collect(), picture: graph.input.first()?.name.as_str() };
    let (mut levels, mut features, mut doubled) = (Vec::new(), Vec::new(), None);
    for (number, stride) in strides.iter().enumerate() {
        let (heads, tower, lateral, seen) = graph.level(*stride, doubled)?;
        let coarsest = number + 1 == strides.len();
        let (own, coarser) =
            if coarsest { (seen, None) } else { graph.sum(seen).map(|(own, from)| (own, Some(from)))? };
        features.push(own);
        doubled = coarser;
        levels.push(Level { layers: Vec::new(), lateral, tower, heads });
    }
    let mut finer = None;
    let mut stem = None;
    for (level, own) in levels.iter_mut().zip(features) {
        let (layers, from) = graph.layers(own, finer)?;
        level.layers = layers;
        if finer.is_none() {
            stem = Some(graph.stem(from)?);
        }
        finer = Some(own);
    }
    Some(SeparableLayers { stem: stem?, levels })
}

/// A convolution's weights and biases, the shape of the weights, and what it sees.
struct Convolution<'a> {
    weights: Vec<f32>,
    biases: Vec<f32>,
    outputs: usize,
    inputs: usize,
    seen: &'a str,
}

struct Graph<'a> {
    /// Which node makes a value.
    makers: HashMap<&'a str, &'a NodeProto>,
    constants: HashMap<&'a str, &'a TensorProto>,
    picture: &'a str,
}

impl<'a> Graph<'a> {
    /// The heads of a stride, the units between them and the lateral one, the lateral unit, and what that sees. `lateral` is
    /// its result where it is known; else it is the unit that sees a sum.
    fn level(&self, stride: usize, lateral: Option<&str>) -> Option<(Vec<Unit>, Vec<Unit>, Unit, &'a str)> {
        let mut heads = Vec::new();
        let mut shared: Option<&'a str> = None;
        for (name, probability) in HEADS {
            let (unit, seen) = self.head(&format!("{name}_{stride}"), probability)?;
            if *shared.get_or_insert(seen) != seen {
                return None;
            }
            heads.push(unit);
        }
        let (mut value, mut tower) = (shared?, Vec::new());
        loop {
            let (unit, seen) = self.unit(value, true)?;
            if lateral.map_or_else(|| self.made_by(seen, "Add").is_some(), |lateral| lateral == value) {
                tower.reverse();
                return Some((heads, tower, unit, seen));
            }
            tower.push(unit);
            value = seen;
        }
    }

    /// A unit without activation, whose cells are then laid out one after the other.
    fn head(&self, output: &str, probability: bool) -> Option<(Unit, &'a str)> {
        let reshape = match probability {
            true => self.made_by(self.made_by(output, "Sigmoid")?.input.first()?, "Reshape")?,
            false => self.made_by(output, "Reshape")?,
        };
        let transpose = self.made_by(reshape.input.first()?, "Transpose")?;
        has_ints(transpose, "perm", &[0, 2, 3, 1], &[]).then_some(())?;
        self.unit(transpose.input.first()?, false)
    }

    /// The terms of a sum with something of half the size: the other term, and what is doubled.
    fn sum(&self, value: &str) -> Option<(&'a str, &'a str)> {
        let add = self.made_by(value, "Add")?;
        let [a, b] = add.input.as_slice() else { return None };
        match (self.doubled(a), self.doubled(b)) {
            (None, Some(doubled)) => Some((a.as_str(), doubled)),
            (Some(doubled), None) => Some((b.as_str(), doubled)),
            _ => None,
        }
    }

    fn doubled(&self, value: &str) -> Option<&'a str> {
        let resize = self.made_by(value, "Resize")?;
        let [seen, _, scales] = resize.input.as_slice() else { return None };
        let nearest = has_text(resize, "mode", "nearest")
            && has_text(resize, "nearest_mode", "floor")
            && has_text(resize, "coordinate_transformation_mode", "asymmetric");
        (nearest && self.floats(scales)?.1 == [1.0, 1.0, 2.0, 2.0]).then_some(seen.as_str())
    }

    /// The units and poolings from the value `until`, or from the stem's result, to `value`; and where they begin.
    fn layers(&self, mut value: &'a str, until: Option<&str>) -> Option<(Vec<Layer>, &'a str)> {
        let mut layers = Vec::new();
        while until.map_or_else(|| self.stem(value).is_none(), |until| until != value) {
            if let Some(pool) = self.made_by(value, "MaxPool") {
                let halves = has_ints(pool, "kernel_shape", &[2, 2], &[])
                    && has_ints(pool, "strides", &[2, 2], &[1, 1])
                    && has_ints(pool, "pads", &[0; 4], &[0; 4])
                    && has_ints(pool, "dilations", &[1, 1], &[1, 1])
                    && attribute(pool, "auto_pad").is_none();
                layers.push(halves.then_some(Layer::MaxPool)?);
                value = pool.input.first()?;
            } else {
                let (unit, seen) = self.unit(value, true)?;
                layers.push(Layer::Unit(unit));
                value = seen;
            }
        }
        layers.reverse();
        Some((layers, value))
    }

    /// The first convolution with its activation, turned from BGR to RGB and from `[channel][row][column]` to
    /// `[row][column][channel]`.
    fn stem(&self, value: &str) -> Option<Stem> {
        let relu = self.made_by(value, "Relu")?;
        let Convolution { weights, biases, inputs, seen, .. } = self.convolution(relu.input.first()?, 3, 2, 1)?;
        if seen != self.picture || inputs != 3 {
            return None;
        }
        let mut filters = vec![0.0; weights.len()];
        for (filter, weights) in filters.chunks_exact_mut(27).zip(weights.chunks_exact(27)) {
            for (i, weight) in weights.iter().enumerate() {
                filter[i % 9 * 3 + 2 - i / 9] = *weight;
            }
        }
        Some(Stem { filters, biases })
    }

    /// A 1x1 convolution and a 3x3 depthwise one, and what they see.
    fn unit(&self, value: &str, relu: bool) -> Option<(Unit, &'a str)> {
        let value = if relu { self.made_by(value, "Relu")?.input.first()?.as_str() } else { value };
        let groups =
            usize::try_from(attribute(self.made_by(value, "Conv")?, "group").map_or(1, |group| group.i)).ok()?;
        let depthwise = self.convolution(value, 3, 1, groups)?;
        let pointwise = self.convolution(depthwise.seen, 1, 1, 1)?;
        if depthwise.inputs != 1 || groups != depthwise.outputs || pointwise.outputs != depthwise.outputs {
            return None;
        }
        let unit = Unit {
            inputs: pointwise.inputs,
            outputs: pointwise.outputs,
            pointwise: pointwise.weights,
            pointwise_biases: pointwise.biases,
            depthwise: depthwise.weights,
            depthwise_biases: depthwise.biases,
            relu,
        };
        Some((unit, pointwise.seen))
    }

    /// A convolution with a square kernel, padded so that a stride of 1 keeps the size.
    fn convolution(&self, value: &str, kernel: i64, stride: i64, groups: usize) -> Option<Convolution<'a>> {
        let node = self.made_by(value, "Conv")?;
        let [seen, weights, biases] = node.input.as_slice() else { return None };
        let as_expected = has_ints(node, "kernel_shape", &[kernel; 2], &[kernel; 2])
            && has_ints(node, "strides", &[stride; 2], &[1; 2])
            && has_ints(node, "pads", &[kernel / 2; 4], &[0; 4])
            && has_ints(node, "dilations", &[1; 2], &[1; 2])
            && attribute(node, "group").map_or(1, |group| group.i) == i64::try_from(groups).ok()?
            && attribute(node, "auto_pad").is_none();
        let (shape, weights) = self.floats(weights)?;
        let (_, biases) = self.floats(biases)?;
        let [outputs, inputs, rows, columns] = *shape else { return None };
        let side = usize::try_from(kernel).ok()?;
        let [outputs, inputs] = [outputs, inputs].map(|n| usize::try_from(n).unwrap_or(0));
        let whole = weights.len() == outputs * inputs * side * side && biases.len() == outputs;
        (as_expected && whole && [rows, columns] == [kernel; 2]).then_some(Convolution {
            weights,
            biases,
            outputs,
            inputs,
            seen,
        })
    }

    fn made_by(&self, value: &str, operator: &str) -> Option<&'a NodeProto> {
        self.makers.get(value).copied().filter(|node| node.op_type == operator)
    }

    /// A constant's shape and numbers.
    fn floats(&self, name: &str) -> Option<(&'a [i64], Vec<f32>)> {
        let tensor = self.constants.get(name).filter(|tensor| tensor.data_type == FLOAT)?;
        let numbers = match tensor.raw_data.is_empty() {
            true => tensor.float_data.clone(),
            false => tensor.raw_data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        };
        Some((&tensor.dims, numbers))
    }
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

/// Whether the attribute has this value, `default` standing for an absent one.
fn has_ints(node: &NodeProto, name: &str, value: &[i64], default: &[i64]) -> bool {
    attribute(node, name).map_or(default, |attribute| attribute.ints.as_slice()) == value
}

fn has_text(node: &NodeProto, name: &str, value: &str) -> bool {
    attribute(node, name).is_some_and(|attribute| attribute.s == value.as_bytes())
}
