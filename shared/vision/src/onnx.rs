//! Reads the graph of an ONNX file without copying its weights: the few fields of `onnx.proto3` that the converted models
//! have, from the wire format of protocol buffers.

use std::collections::HashMap;

/// A network's nodes in the order of execution, and its constants.
pub(crate) struct Graph<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    pub(crate) constants: HashMap<&'a str, Constant<'a>>,
    /// Names of the inputs that are no constants.
    pub(crate) inputs: Vec<&'a str>,
    pub(crate) outputs: Vec<&'a str>,
}

/// An operator, and the names of what it reads and writes.
#[derive(Default)]
pub(crate) struct Node<'a> {
    pub(crate) operator: &'a str,
    pub(crate) inputs: Vec<&'a str>,
    pub(crate) outputs: Vec<&'a str>,
    /// Attributes that are integers or lists of them. Others are there with an empty list.
    pub(crate) attributes: Vec<(&'a str, Vec<i64>)>,
}

impl Node<'_> {
    /// Returns an attribute's integers, if the node has it.
    pub(crate) fn attribute(&self, name: &str) -> Option<&[i64]> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, values)| values.as_slice())
    }
}

/// A constant tensor.
#[derive(Default)]
pub(crate) struct Constant<'a> {
    pub(crate) dimensions: Vec<i64>,
    kind: i64,
    bytes: &'a [u8],
}

impl<'a> Constant<'a> {
    /// Returns the numbers of an `f32` tensor, lowest byte first, as many as its dimensions say.
    pub(crate) fn floats(&self) -> Option<&'a [[u8; 4]]> {
        const FLOAT: i64 = 1;
        self.numbers(FLOAT)
    }

    /// Returns the numbers of an `i64` tensor, as many as its dimensions say.
    pub(crate) fn integers(&self) -> Option<Vec<i64>> {
        const INT64: i64 = 7;
        self.numbers::<8>(INT64).map(|numbers| numbers.iter().copied().map(i64::from_le_bytes).collect())
    }

    fn numbers<const BYTES: usize>(&self, kind: i64) -> Option<&'a [[u8; BYTES]]> {
        let (numbers, rest) = self.bytes.as_chunks();
        let count = self.dimensions.iter().try_fold(1, |count: i64, side| count.checked_mul(*side));
        (self.kind == kind && rest.is_empty() && count == i64::try_from(numbers.len()).ok()).then_some(numbers)
    }
}

impl<'a> Graph<'a> {
    /// Returns the graph in these bytes, or nothing if they are no ONNX.
    pub(crate) fn parse(onnx: &'a [u8]) -> Option<Self> {
        const GRAPH: u64 = 7;
        let mut graph = None;
        each(onnx, |field, value| {
            if field == GRAPH {
                graph = Some(Self::parse_graph(value.bytes()?)?);
            }
            Some(())
        })?;
        graph
    }

    fn parse_graph(bytes: &'a [u8]) -> Option<Self> {
        let mut graph = Self { nodes: Vec::new(), constants: HashMap::new(), inputs: Vec::new(), outputs: Vec::new() };
        each(bytes, |field, value| {
            match field {
                1 => graph.nodes.push(parse_node(value.bytes()?)?),
                5 => {
                    let (name, constant) = parse_constant(value.bytes()?)?;
                    graph.constants.insert(name, constant);
                }
                11 => graph.inputs.push(parse_name(value.bytes()?)?),
                12 => graph.outputs.push(parse_name(value.bytes()?)?),
                _ => {}
            }
            Some(())
        })?;
        graph.inputs.retain(|name| !graph.constants.contains_key(name));
        Some(graph)
    }
}

fn parse_node(bytes: &[u8]) -> Option<Node<'_>> {
    let mut node = Node::default();
    each(bytes, |field, value| {
        match field {
            1 => node.inputs.push(value.text()?),
            2 => node.outputs.push(value.text()?),
            4 => node.operator = value.text()?,
            5 => node.attributes.push(parse_attribute(value.bytes()?)?),
            _ => {}
        }
        Some(())
    })?;
    Some(node)
}

fn parse_attribute(bytes: &[u8]) -> Option<(&str, Vec<i64>)> {
    let (mut name, mut integers) = ("", Vec::new());
    each(bytes, |field, value| {
        match field {
            1 => name = value.text()?,
            3 => integers.push(value.integer()?),
            8 => value.append_integers(&mut integers)?,
            _ => {}
        }
        Some(())
    })?;
    Some((name, integers))
}

fn parse_constant(bytes: &[u8]) -> Option<(&str, Constant<'_>)> {
    let (mut name, mut constant) = ("", Constant::default());
    each(bytes, |field, value| {
        match field {
            1 => value.append_integers(&mut constant.dimensions)?,
            2 => constant.kind = value.integer()?,
            8 => name = value.text()?,
            9 => constant.bytes = value.bytes()?,
            _ => {}
        }
        Some(())
    })?;
    Some((name, constant))
}

/// The name of an input or output.
fn parse_name(bytes: &[u8]) -> Option<&str> {
    let mut name = None;
    each(bytes, |field, value| {
        if field == 1 {
            name = Some(value.text()?);
        }
        Some(())
    })?;
    name
}

/// A field's value on the wire.
#[derive(Clone, Copy)]
enum Value<'a> {
    Integer(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes, of which no field that we read is made.
    Fixed,
}

impl<'a> Value<'a> {
    fn integer(self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(integer.cast_signed()),
            _ => None,
        }
    }

    fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn text(self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// One integer, or several packed into bytes.
    fn append_integers(self, integers: &mut Vec<i64>) -> Option<()> {
        match self {
            Self::Integer(integer) => integers.push(integer.cast_signed()),
            Self::Bytes(mut bytes) => {
                while !bytes.is_empty() {
                    integers.push(variable(&mut bytes)?.cast_signed());
                }
            }
            Self::Fixed => return None,
        }
        Some(())
    }
}

/// Calls `visit` with the number and the value of each field of a message. Nothing if the message is broken or a visit
/// fails.
fn each<'a>(mut bytes: &'a [u8], mut visit: impl FnMut(u64, Value<'a>) -> Option<()>) -> Option<()> {
    while !bytes.is_empty() {
        let key = variable(&mut bytes)?;
        let value = match key & 7 {
            0 => Value::Integer(variable(&mut bytes)?),
            1 => {
                bytes = bytes.get(8..)?;
                Value::Fixed
            }
            2 => {
                let length = usize::try_from(variable(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Value::Bytes(value)
            }
            5 => {
                bytes = bytes.get(4..)?;
                Value::Fixed
            }
            _ => return None,
        };
        visit(key >> 3, value)?;
    }
    Some(())
}

/// Takes an integer of seven bits per byte, lowest first.
fn variable(bytes: &mut &[u8]) -> Option<u64> {
    let mut integer = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        integer |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(integer);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field of bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut message = vec![number << 3 | 2, bytes.len() as u8 | 0x80, (bytes.len() >> 7) as u8];
        message.extend(bytes);
        message
    }

    fn model() -> Vec<u8> {
        let numbers: Vec<u8> = [1.5f32, -2.0].into_iter().flat_map(f32::to_le_bytes).collect();
        // Two dimensions, one by one; the type; name; numbers.
        let constant = [&[1 << 3, 2, 1 << 3, 1, 2 << 3, 1][..], &field(8, b"w"), &field(9, &numbers)].concat();
        let widths: Vec<u8> = [-1i64, 300].into_iter().flat_map(i64::to_le_bytes).collect();
        // One dimension, packed.
        let widths = [&field(1, &[2])[..], &[2 << 3, 7], &field(8, b"widths"), &field(9, &widths)].concat();
        // A list of 2 and 300, a float that is skipped.
        let attribute = [&field(1, b"pads")[..], &field(8, &[2, 0xac, 0x02]), &[2 << 3 | 5, 0, 0, 0, 0]].concat();
        let node = [field(1, b"x"), field(1, b"w"), field(2, b"y"), field(4, b"Conv"), field(5, &attribute)].concat();
        let graph = [field(1, &node), field(5, &constant), field(5, &widths), field(11, &field(1, b"x"))];
        let graph = [graph.concat(), field(11, &field(1, b"w")), field(12, &field(1, b"y"))].concat();
        [vec![1 << 3, 7], field(7, &graph)].concat()
    }

    #[test]
    fn a_graph_is_read() {
        let model = model();
        let graph = Graph::parse(&model).unwrap();
        assert_eq!((&graph.inputs[..], &graph.outputs[..]), (&["x"][..], &["y"][..]));
        let [node] = &graph.nodes[..] else { panic!("{} nodes", graph.nodes.len()) };
        assert_eq!((node.operator, &node.inputs[..], &node.outputs[..]), ("Conv", &["x", "w"][..], &["y"][..]));
        assert_eq!((node.attribute("pads"), node.attribute("strides")), (Some(&[2, 300][..]), None));
        let weights = &graph.constants["w"];
        assert_eq!(weights.dimensions, [2, 1]);
        assert_eq!(weights.floats(), Some(&[1.5f32.to_le_bytes(), (-2.0f32).to_le_bytes()][..]));
        assert_eq!(weights.integers(), None);
        assert_eq!(graph.constants["widths"].integers(), Some(vec![-1, 300]));
    }

    #[test]
    fn a_broken_file_is_no_graph() {
        let model = model();
        // The first two bytes are a field of their own.
        for end in 3..model.len() {
            assert!(Graph::parse(&model[..end]).is_none(), "{end}");
        }
        assert!(Graph::parse(&[]).is_none());
    }
}
