//! Recognises the chain of layers of dlib's network in an ONNX graph, for the kernels.

use attendance_kernels::residual::{Block, Convolution, ResidualLayers, WeightBytes};

use crate::chip::CHIP_SIDE;
use crate::normalize::{MEAN, SCALE};
use crate::onnx::{Graph, Node};

/// Returns the layers of this graph.
///
/// # Errors
/// What differs from the chain of layers that the kernels compute.
pub(super) fn layers<'a>(graph: &'a Graph<'a>) -> Result<ResidualLayers<'a>, String> {
    let ([input], [output]) = (&graph.inputs[..], &graph.outputs[..]) else {
        return Err("one input and one output were expected".to_owned());
    };
    let mut walk = Walk { graph, next: 0, value: input, side: CHIP_SIDE as usize, channels: 3 };
    let stem = walk.convolution()?;
    walk.unary("Relu", &[])?;
    walk.unary("MaxPool", &window(3, 2))?;
    walk.side = shrunk(walk.side, 3, 2)?;
    let mut blocks = Vec::new();
    while walk.peek() == "Conv" {
        blocks.push(walk.block()?);
    }
    walk.unary("GlobalAveragePool", &[])?;
    walk.unary("Flatten", &[])?;
    let (dense, outputs) = walk.matrix()?;
    if walk.next != graph.nodes.len() || walk.value != *output {
        return Err(format!("the output is {output}, after {} of {} nodes", walk.next, graph.nodes.len()));
    }
    Ok(ResidualLayers { side: CHIP_SIDE as usize, mean: MEAN, scale: SCALE, stem, blocks, outputs, dense })
}

/// The attributes of a window without padding.
fn window(side: i64, stride: i64) -> [(&'static str, Vec<i64>); 3] {
    [("kernel_shape", vec![side; 2]), ("pads", vec![0; 4]), ("strides", vec![stride; 2])]
}

/// The side of what a window leaves.
fn shrunk(side: usize, window: usize, stride: usize) -> Result<usize, String> {
    let room = side.checked_sub(window).ok_or_else(|| format!("a window of {window} meets {side} rows"))?;
    Ok(room / stride + 1)
}

/// A way along the nodes, with the value at which it is.
struct Walk<'a> {
    graph: &'a Graph<'a>,
    next: usize,
    value: &'a str,
    side: usize,
    channels: usize,
}

impl<'a> Walk<'a> {
    /// The next node's operator.
    fn peek(&self) -> &'a str {
        self.graph.nodes.get(self.next).map_or("nothing", |node| node.operator)
    }

    fn node(&mut self, operator: &str) -> Result<&'a Node<'a>, String> {
        let found = self.peek();
        let node = self.graph.nodes.get(self.next).filter(|node| node.operator == operator && node.outputs.len() == 1);
        self.next += 1;
        node.ok_or_else(|| format!("node {} is {found}, not {operator}", self.next))
    }

    /// Goes on over a node of one input that has these attributes and no others.
    fn unary(&mut self, operator: &str, attributes: &[(&str, Vec<i64>)]) -> Result<(), String> {
        let from = self.value;
        let node = self.node(operator)?;
        let alike = node.attributes.len() == attributes.len()
            && attributes.iter().all(|(name, values)| node.attribute(name) == Some(values));
        if node.inputs != [from] || !alike {
            return Err(format!("{operator} of {:?} with {:?} at {from}", node.inputs, node.attributes));
        }
        self.value = node.outputs[0];
        Ok(())
    }

    /// Goes on over a convolution.
    fn convolution(&mut self) -> Result<Convolution<'a>, String> {
        let node = self.node("Conv")?;
        let misfit = || format!("a convolution of {:?} with {:?} at {}", node.inputs, node.attributes, self.value);
        let [input, filters, biases] = node.inputs[..] else { return Err(misfit()) };
        let constant = |name| self.graph.constants.get(name).ok_or_else(misfit);
        let (filters, biases) = (constant(filters)?, constant(biases)?);
        let number = |value: i64| usize::try_from(value).map_err(|_| misfit());
        let [outputs, inputs, kernel, columns] = filters.dimensions[..] else { return Err(misfit()) };
        let [Some([stride, _]), Some([padding, ..])] = ["strides", "pads"].map(|name| node.attribute(name)) else {
            return Err(misfit());
        };
        let expected = [("kernel_shape", vec![kernel; 2]), ("pads", vec![*padding; 4]), ("strides", vec![*stride; 2])];
        let alike = node.attributes.len() == expected.len()
            && expected.iter().all(|(name, values)| node.attribute(name) == Some(values));
        if input != self.value || columns != kernel || biases.dimensions != [outputs] || *stride < 1 || !alike {
            return Err(misfit());
        }
        let convolution = Convolution {
            outputs: number(outputs)?,
            inputs: number(inputs)?,
            kernel: number(kernel)?,
            stride: number(*stride)?,
            padding: number(*padding)?,
            filters: filters.floats().ok_or_else(misfit)?,
            biases: biases.floats().ok_or_else(misfit)?,
        };
        let padded = convolution.padding.checked_mul(2).and_then(|padding| padding.checked_add(self.side));
        self.side = shrunk(padded.ok_or_else(misfit)?, convolution.kernel, convolution.stride)?;
        self.channels = convolution.outputs;
        self.value = node.outputs[0];
        Ok(convolution)
    }

    /// Goes on over two convolutions, and the sum with what they come from.
    fn block(&mut self) -> Result<Block<'a>, String> {
        let mut skipped = Walk { ..*self };
        let first = self.convolution()?;
        self.unary("Relu", &[])?;
        let second = self.convolution()?;
        skipped.next = self.next;
        if first.stride != 1 {
            skipped.unary("AveragePool", &window(2, 2))?;
            skipped.side = shrunk(skipped.side, 2, 2)?;
        }
        // Each is filled up with zeros behind what it has.
        let channels = self.channels.max(skipped.channels);
        let side = self.side.max(skipped.side);
        self.next = skipped.next;
        for _ in 0..2 {
            if self.peek() == "Pad" {
                let node = self.node("Pad")?;
                let padded = if node.inputs.first() == Some(&self.value) { &mut *self } else { &mut skipped };
                padded.pad(node, channels, side)?;
            }
        }
        let node = self.node("Add")?;
        let both = [self.value, skipped.value];
        let alike = [&*self, &skipped].iter().all(|walk| (walk.channels, walk.side) == (channels, side));
        if !alike || node.inputs.len() != 2 || !both.iter().all(|value| node.inputs.contains(value)) {
            return Err(format!("a sum of {:?}, not of {both:?}", node.inputs));
        }
        self.value = node.outputs[0];
        self.unary("Relu", &[])?;
        Ok(Block { first, second })
    }

    /// Goes on over zeros that make this many channels, rows and columns.
    fn pad(&mut self, node: &'a Node<'a>, channels: usize, side: usize) -> Result<(), String> {
        let misfit = || format!("padding of {:?} with {:?} at {}", node.inputs, node.attributes, self.value);
        let [input, widths] = node.inputs[..] else { return Err(misfit()) };
        let widths = self.graph.constants.get(widths).and_then(|widths| widths.integers()).ok_or_else(misfit)?;
        let behind = [channels - self.channels, side - self.side, side - self.side];
        let expected: Vec<_> = [0, 0, 0, 0, 0].into_iter().chain(behind).map(|width| width as i64).collect();
        if input != self.value || widths != expected || !node.attributes.is_empty() {
            return Err(misfit());
        }
        (self.channels, self.side, self.value) = (channels, side, node.outputs[0]);
        Ok(())
    }

    /// Goes on over the product with a matrix. Returns its weights and how many numbers it makes.
    fn matrix(&mut self) -> Result<(&'a [WeightBytes], usize), String> {
        let node = self.node("MatMul")?;
        let misfit = || format!("a product of {:?} at {}", node.inputs, self.value);
        let [input, weights] = node.inputs[..] else { return Err(misfit()) };
        let weights = self.graph.constants.get(weights).ok_or_else(misfit)?;
        let [inputs, outputs] = weights.dimensions[..] else { return Err(misfit()) };
        if input != self.value || usize::try_from(inputs) != Ok(self.channels) {
            return Err(misfit());
        }
        let outputs = usize::try_from(outputs).map_err(|_| misfit())?;
        let weights = weights.floats().ok_or_else(misfit)?;
        self.value = node.outputs[0];
        Ok((weights, outputs))
    }
}
