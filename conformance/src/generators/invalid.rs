//! Cases that are wrong in some way, or may be: what nobody should pass, and somebody will.

use super::halves;
use crate::case_file::{Case, Expect, Mode};
use crate::layers;
use crate::tensors::{DType, Group};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use vocabulary::{StateTensor, Tensor};

/// A change of a case, which most often makes it wrong.
#[derive(Debug, Clone)]
enum Change {
    /// An option of that number gets an odd value; beyond the layer's own stand names that it does not have.
    Option(prop::sample::Index, Json),
    /// An option is left out.
    Omission(prop::sample::Index),
    /// A tensor gets another shape and other values.
    Shape(prop::sample::Index, Vec<usize>),
    /// A tensor becomes one of integers, or of the other floating-point type.
    Type(prop::sample::Index, bool),
    /// A tensor is taken away.
    Loss(prop::sample::Index),
    /// A tensor is put in under a name that the layer may not have.
    Gain(Group, &'static str, Vec<usize>),
    /// The elements of a tensor of integers become this.
    Integer(i64),
    /// Training becomes evaluation, or the reverse.
    Mode,
}

/// Values that options may be given by mistake.
fn odd() -> impl Strategy<Value = Json> {
    let numbers = vec![
        json!(0),
        json!(1),
        json!(2),
        json!(3),
        json!(7),
        json!(-1),
        json!(-100),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1_u64 << 31),
        json!(1_u64 << 33),
        json!(0.0),
        json!(-0.0),
        json!(0.5),
        json!(1.0),
        json!(-0.5),
        json!(1.5),
        json!(1e30),
        json!(5e-324),
        json!(1e-30),
        json!("inf"),
        json!("-inf"),
        json!("nan"),
    ];
    let others = vec![
        json!(null),
        json!(true),
        json!(false),
        json!(""),
        json!("same"),
        json!("valid"),
        json!("zeros"),
        json!("reflect"),
        json!("circular"),
        json!("mean"),
        json!("none"),
        json!("sum"),
        json!("tanh"),
        json!("relu"),
        json!("bogus"),
        json!("cuda"),
        json!("float16"),
        json!("float32"),
        json!("float64"),
        json!([]),
        json!([1]),
        json!([0, 0]),
        json!([2, 3]),
        json!([-1, 2]),
        json!([1, 2, 3]),
        json!([1.5, 2]),
        json!([[1, 2]]),
        json!([i64::MAX, 1]),
        json!({}),
        json!({"a": 1}),
    ];
    prop_oneof![prop::sample::select(numbers), prop::sample::select(others)]
}

fn odd_shape() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..5_usize, 0..6)
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    let names = [
        "input",
        "target",
        "hx",
        "dropout_mask",
        "weight",
        "bias",
        "running_var",
        "output",
        "h_n",
        "weight_hh_l1",
        "gain",
    ];
    let groups = [Group::In, Group::State, Group::GradOut];
    let integers = vec![-1, -100, 0, 1, 5, i64::MIN, i64::MAX, 1 << 33];
    prop_oneof![
        6 => (index(), odd()).prop_map(|(place, value)| Change::Option(place, value)),
        1 => index().prop_map(Change::Omission),
        4 => (index(), odd_shape()).prop_map(|(place, shape)| Change::Shape(place, shape)),
        1 => (index(), any::<bool>()).prop_map(|(place, integers)| Change::Type(place, integers)),
        1 => index().prop_map(Change::Loss),
        1 => (prop::sample::select(groups.to_vec()), prop::sample::select(names.to_vec()), odd_shape())
            .prop_map(|(group, name, shape)| Change::Gain(group, name, shape)),
        1 => prop::sample::select(integers).prop_map(Change::Integer),
        1 => Just(Change::Mode),
    ]
}

/// Cases of a layer with one to three random changes each; `None` for an unknown layer.
///
/// Some of them are still right. Half of them expect a refusal, so that what is missing is initialised.
pub fn invalid(layer: &str, dtype: DType) -> Option<BoxedStrategy<Case>> {
    let arguments: Vec<String> = layers::signature(layer)
        .split(", ")
        .filter_map(|argument| argument.split('=').next().map(str::to_owned))
        .collect();
    let names: Vec<String> = arguments.into_iter().filter(|name| name != "*").chain(["bogus".into()]).collect();
    let changes = prop::collection::vec(change(), 1..=3);
    let cases = layers::generator(layer, dtype)?;
    let changed = move |(mut case, changes, refused): (Case, Vec<Change>, bool)| {
        changes.into_iter().for_each(|change| apply(&mut case, change, &names, dtype));
        if refused {
            case.expect = Expect::Error;
            case.head.insert("expect".into(), "error".into());
        }
        case
    };
    Some((cases, changes, any::<bool>()).prop_map(changed).boxed())
}

fn apply(case: &mut Case, change: Change, names: &[String], dtype: DType) {
    let brought: Vec<(Group, String)> = case.tensors.keys().filter(|(group, _)| !group.is_result()).cloned().collect();
    let tensor = |place: prop::sample::Index| (!brought.is_empty()).then(|| place.get(&brought).clone());
    match change {
        Change::Option(place, value) => _ = case.options.insert(place.get(names).clone(), value),
        Change::Omission(place) => _ = case.options.remove(place.get(names)),
        Change::Shape(place, shape) => {
            if let Some((group, name)) = tensor(place) {
                let integers = matches!(case.tensor(group, &name), Some(StateTensor::I64(_)));
                let tensor = if integers { of_integers(&shape, 0) } else { halves(dtype, &shape) };
                case.insert(group, &name, tensor);
            }
        }
        Change::Type(place, integers) => {
            if let Some((group, name)) = tensor(place) {
                let shape = case.tensor(group, &name).map_or(Vec::new(), |tensor| tensor.shape().to_vec());
                let other = if dtype == DType::F32 { DType::F64 } else { DType::F32 };
                let tensor = if integers { of_integers(&shape, 1) } else { halves(other, &shape) };
                case.insert(group, &name, tensor);
            }
        }
        Change::Loss(place) => _ = tensor(place).and_then(|key| case.tensors.remove(&key)),
        Change::Gain(group, name, shape) => case.insert(group, name, halves(dtype, &shape)),
        Change::Integer(value) => {
            for tensor in case.tensors.values_mut() {
                if let StateTensor::I64(tensor) = tensor {
                    tensor.as_mut_slice().iter_mut().for_each(|x| *x = value);
                }
            }
        }
        Change::Mode => super::set_mode(case, if case.mode == Mode::Train { Mode::Eval } else { Mode::Train }),
    }
    case.head.insert("options".into(), Json::Object(case.options.clone()));
}

fn of_integers(shape: &[usize], value: i64) -> StateTensor {
    Tensor::full(shape, value).map_or_else(|_| StateTensor::I64(Tensor::scalar(value)), StateTensor::I64)
}
