//! RNN and GRU.

use crate::case_file::{Case, Mode};
use crate::generators::{self, Dependent};
use crate::layers::{input_shape, product};
use crate::task::Task;
use crate::tensors::{DType, Group, Named};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use vocabulary::{Error, RecurrentGradients, RecurrentParameters, Result, Scalar, Tensor};

/// The parameters that a case brings, and initial ones for those that it may leave out.
pub(crate) fn parameters<T: Scalar>(
    task: &Task<'_, T>,
    suffixes: &[String],
    initial: Option<Vec<RecurrentParameters<T>>>,
) -> Result<Vec<RecurrentParameters<T>>> {
    let mut initial = initial.map(|initial| initial.into_iter());
    let mut parameters = Vec::new();
    for suffix in suffixes {
        let initial = initial.as_mut().and_then(Iterator::next);
        let state = |name: &str| task.state(&format!("{name}{suffix}"));
        let weight = |name: &str, initial: Option<Tensor<T>>| {
            let given = state(name)?.or(initial);
            given.ok_or_else(|| task.missing_state(&format!("{name}{suffix}")))
        };
        let (weight_ih, weight_hh, bias_ih, bias_hh) = match initial {
            Some(one) => (Some(one.weight_ih), Some(one.weight_hh), one.bias_ih, one.bias_hh),
            None => (None, None, None, None),
        };
        parameters.push(RecurrentParameters {
            weight_ih: weight("weight_ih", weight_ih)?,
            weight_hh: weight("weight_hh", weight_hh)?,
            bias_ih: state("bias_ih")?.or(bias_ih),
            bias_hh: state("bias_hh")?.or(bias_hh),
        });
    }
    Ok(parameters)
}

/// Refuses a mask that no dropout draws: its factors are 0 or 1/(1 − p), as either type holds it.
pub(crate) fn check_factors<T: Scalar>(task: &Task<'_, T>, mask: &Tensor<T>, dropout: f64) -> Result<()> {
    let kept = 1.0 / (1.0 - dropout);
    let is_factor = |factor: f64| factor == 0.0 || (factor - kept).abs() <= f64::from(f32::EPSILON) * kept;
    match mask.as_slice().iter().find(|factor| !is_factor(factor.to_f64())) {
        Some(other) => {
            let (got, expected) = (format!("holds {}", other.to_f64()), format!("0 or 1/(1 − dropout) = {kept}"));
            Err(Error::new(&task.case.layer, "dropout_mask", got, expected))
        }
        None => Ok(()),
    }
}

/// Adds what backward gives; the gradient of `hx` only where the case has one.
pub(crate) fn insert_gradients<T: Scalar>(
    results: &mut Named<T>,
    gradients: RecurrentGradients<T>,
    suffixes: &[String],
    with_hx: bool,
) {
    results.insert(Group::GradIn, "input", gradients.input);
    if with_hx {
        results.insert(Group::GradIn, "hx", gradients.hx);
    }
    for (one, suffix) in gradients.parameters.iter().zip(suffixes) {
        one.named(suffix).for_each(|(name, tensor)| results.insert(Group::GradState, &name, tensor.clone()));
    }
}

/// The same calls for both crates.
macro_rules! run {
    ($layer:ty, $options:ident, $task:expr, $prepare:expr) => {{
        use crate::layers::shared::recurrent;
        use crate::tensors::{Group, Named};
        let task = $task;
        let options: vocabulary::$options = task.options_with_placement(&[])?;
        options.check()?;
        let suffixes: Vec<String> = options.suffixes().collect();
        let names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"];
        let known: Vec<String> = suffixes.iter().flat_map(|s| names.map(|name| format!("{name}{s}"))).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        task.check_names(&["input", "hx", "dropout_mask"], &known, &["output", "h_n"])?;
        let mut rng = <rand::rngs::SmallRng as rand::SeedableRng>::seed_from_u64(0);
        let initial = task.initialises().then(|| <$layer>::init(options.clone(), &mut rng)).transpose()?;
        let initial = initial.map(|layer| layer.parameters().to_vec());
        let parameters = recurrent::parameters(task, &suffixes, initial)?;
        let (draws, dropout) = (options.draws_mask(), options.dropout);
        let mut layer = <$layer>::with_parameters(options, parameters)?;
        if !task.is_training() {
            layer.eval();
        }
        let input = task.input("input")?;
        let hx = task.optional_input("hx")?;
        // Where nothing is drawn, a mask has no effect, as in PyTorch.
        let mask = task.optional_input("dropout_mask")?.filter(|_| draws && task.is_training());
        mask.iter().try_for_each(|mask| recurrent::check_factors(task, mask, dropout))?;
        $prepare(&mut layer, input.shape())?;
        let pass = match &mask {
            Some(mask) => layer.forward_pass_with_mask(&input, hx.as_ref(), mask)?,
            None => layer.forward_pass(&input, hx.as_ref())?,
        };
        let mut results = Named::default();
        if let Some(grad_output) = task.cotangent("output", &pass.output)? {
            let grad_h_n = task.cotangent("h_n", &pass.h_n)?;
            let gradients = layer.backward(&pass, &grad_output, grad_h_n.as_ref())?;
            recurrent::insert_gradients(&mut results, gradients, &suffixes, hx.is_some());
        }
        results.insert(Group::Out, "output", pass.output);
        results.insert(Group::Out, "h_n", pass.h_n);
        Ok(results)
    }};
}
pub(crate) use run;

/// How a layer's cases run through both crates, how many numbers they take, and what they need to be replayed.
macro_rules! in_both {
    ($layer:ident, $options:ident, $gates:literal) => {
        pub(super) fn reference<T: reference::Real>(
            task: &crate::task::Task<'_, T>,
        ) -> vocabulary::Result<crate::tensors::Named<T>> {
            let ready = |_: &mut reference::$layer<T>, _: &[usize]| Ok::<_, vocabulary::Error>(());
            crate::layers::shared::recurrent::run!(reference::$layer<T>, $options, task, ready)
        }

        pub(super) fn optimized<T: optimized::Float>(
            task: &crate::task::Task<'_, T>,
            execution: &optimized::Execution,
        ) -> std::result::Result<crate::tensors::Named<T>, crate::layers::Stop> {
            let ready = |layer: &mut optimized::$layer<T>, input: &[usize]| {
                layer.set_execution(execution.clone())?;
                crate::layers::applicable(execution, &layer.choices(input)?)
            };
            crate::layers::shared::recurrent::run!(optimized::$layer<T>, $options, task, ready)
        }

        /// Parameters, where they are to be initialised, and their gradients; of each step in each layer and direction its
        /// input, hidden state and gates, and the gradients of these.
        pub(super) fn additional_numbers(case: &crate::case_file::Case) -> u128 {
            let options = crate::task::options::<vocabulary::$options>(case, true, &[]);
            let Ok(options) = options else { return 0 };
            let sizes = [options.input_size, options.hidden_size, options.num_layers, options.directions()];
            crate::layers::shared::recurrent::numbers(case, $gates, sizes.map(|size| size as u128))
        }

        /// Why a case cannot be replayed: training drops out, and nobody can know what PyTorch dropped.
        pub(super) fn unsupported(case: &crate::case_file::Case) -> Option<String> {
            let options = crate::task::options::<vocabulary::$options>(case, true, &[]).ok()?;
            let lacks_mask = case.tensor(crate::tensors::Group::In, "dropout_mask").is_none();
            let training = case.mode == crate::case_file::Mode::Train;
            let unknown = lacks_mask && training && options.draws_mask();
            unknown.then(|| "dropout in training needs the tensor in.dropout_mask".into())
        }
    };
}
pub(crate) use in_both;

/// See `additional_numbers` of [`in_both`].
pub(crate) fn numbers(case: &Case, gates: u128, [inputs, hidden, layers, directions]: [u128; 4]) -> u128 {
    let sum = |terms: &[u128]| terms.iter().fold(0_u128, |sum, &term| sum.saturating_add(term));
    let all = |factors: &[u128]| factors.iter().fold(1_u128, |product, &factor| product.saturating_mul(factor));
    let states = all(&[layers, directions]);
    let below = all(&[directions, hidden]).max(inputs);
    let parameters = all(&[states, gates, hidden, sum(&[below, hidden, 2])]);
    let input = input_shape(case, "input");
    let steps = product(input.split_last().map_or(&[], |(_, leading)| leading));
    let kept = all(&[steps, states, sum(&[all(&[4, below]), all(&[4 + 2 * gates, hidden])])]);
    // Small vectors and tensors take more beside their elements than for them: so much more, in numbers.
    let beside = sum(&[all(&[200, states]), all(&[40, states, steps])]);
    // Judged step by step, and layer by layer, it is all there once more.
    sum(&[all(&[4, parameters]), all(&[2, kept]), product(input), all(&[8, states, steps, hidden]), beside])
}

/// Short sequences of every layout, with every option; `extra` are the layer's own options.
pub(crate) fn cases(
    layer: &'static str,
    gates: usize,
    extra: impl Strategy<Value = Json> + 'static,
    dtype: DType,
) -> BoxedStrategy<Case> {
    let hidden = prop_oneof![12 => 1..4_usize, 3 => 7..10_usize, 1 => 15..18_usize];
    let sizes = (prop_oneof![8 => 1..6_usize, 1 => 7..10_usize, 1 => 15..18_usize], hidden, 1..4_usize);
    let layout = (1..6_usize, prop::option::weighted(0.7, prop_oneof![5 => 1..3_usize, 1 => Just(0)]));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let dropout = prop_oneof![2 => Just(0.0), 1 => Just(0.5), 1 => Just(0.2), 1 => Just(1.0)];
    // Which outputs have a cotangent; one that is left out is zero.
    let cotangents = prop_oneof![2 => Just((true, true)), 1 => Just((true, false)), 1 => Just((false, true))];
    (sizes, layout, flags, dropout, extra, (cotangents, generators::kind()))
        .prop_dependent(
            move |((inputs, hidden, layers), (length, batch), flags, dropout, extra, (cotangents, kind))| {
                let (bias, batch_first, bidirectional, with_hx, training) = flags;
                let directions = if bidirectional { 2 } else { 1 };
                let width = directions * hidden;
                let sequence = |features: usize| match batch {
                    None => vec![length, features],
                    Some(batch) if batch_first => vec![batch, length, features],
                    Some(batch) => vec![length, batch, features],
                };
                let state: Vec<usize> = [layers * directions].into_iter().chain(batch).chain([hidden]).collect();
                let mut options = json!({
                    "input_size": inputs, "hidden_size": hidden, "num_layers": layers, "bias": bias,
                    "batch_first": batch_first, "dropout": dropout, "bidirectional": bidirectional,
                });
                if let (Json::Object(options), Json::Object(extra)) = (&mut options, extra) {
                    options.extend(extra);
                }
                let mut case = generators::case(layer, options);
                generators::set_mode(&mut case, if training { Mode::Train } else { Mode::Eval });
                let mut tensors: Vec<(Group, String, Vec<usize>)> = vec![(Group::In, "input".into(), sequence(inputs))];
                if cotangents.0 {
                    tensors.push((Group::GradOut, "output".into(), sequence(width)));
                }
                if cotangents.1 {
                    tensors.push((Group::GradOut, "h_n".into(), state.clone()));
                }
                if with_hx {
                    tensors.push((Group::In, "hx".into(), state));
                }
                for number in 0..layers * directions {
                    let reverse = if number % directions == 1 { "_reverse" } else { "" };
                    let suffix = format!("_l{}{reverse}", number / directions);
                    let below = if number < directions { inputs } else { width };
                    tensors.push((Group::State, format!("weight_ih{suffix}"), vec![gates * hidden, below]));
                    tensors.push((Group::State, format!("weight_hh{suffix}"), vec![gates * hidden, hidden]));
                    if bias {
                        tensors.push((Group::State, format!("bias_ih{suffix}"), vec![gates * hidden]));
                        tensors.push((Group::State, format!("bias_hh{suffix}"), vec![gates * hidden]));
                    }
                }
                let masked = training && layers > 1 && dropout > 0.0 && dropout < 1.0;
                let mask = [layers - 1, length, batch.unwrap_or(1), width];
                let count = if masked { mask.iter().product() } else { 0 };
                let kept = prop::collection::vec(any::<bool>(), count);
                (generators::fill(case, dtype, kind, tensors), kept).prop_map(move |(mut case, kept)| {
                    if masked {
                        let factors = kept.into_iter().map(|kept| if kept { 1.0 / (1.0 - dropout) } else { 0.0 });
                        generators::insert(&mut case, Group::In, "dropout_mask", dtype, &mask, factors.collect());
                    }
                    case
                })
            },
        )
        .boxed()
}
