//! The faults, layer by layer, and what is asked of them.

#[macro_use]
#[path = "../shared/mod.rs"]
mod shared;

mod activations;
mod batch_norm2d;
mod conv2d;
mod cross_entropy_loss;
mod dropped_term;
mod embedding;
mod harness;
mod linear;
mod losses;
mod max_pool2d;
mod of_any_layer;
mod reading;
mod recurrent;

use conformance::LAYERS;
use harness::{Fault, Mistake, Tally};

/// Every fault of the catalogue.
fn catalogue() -> Vec<Fault> {
    let of_a_layer = [
        linear::faults(),
        conv2d::faults(),
        max_pool2d::faults(),
        activations::faults(),
        batch_norm2d::faults(),
        recurrent::faults(),
        embedding::faults(),
        losses::faults(),
        cross_entropy_loss::faults(),
    ];
    of_a_layer.into_iter().flatten().chain(LAYERS.iter().flat_map(|layer| of_any_layer::faults(layer))).collect()
}

/// The kernels that are written here for their mistakes, without any.
fn kernels() -> Vec<Fault> {
    let kernels = [
        linear::kernels(),
        conv2d::kernels(),
        max_pool2d::kernels(),
        activations::kernels(),
        batch_norm2d::kernels(),
        recurrent::kernels(),
        embedding::kernels(),
        losses::kernels(),
        cross_entropy_loss::kernels(),
    ];
    kernels.into_iter().flatten().collect()
}

/// Every fault of the layer is caught, but for what is said to be out of reach; and that is.
fn every_fault_is_caught(layer: &'static str) {
    let faults: Vec<Fault> = catalogue().into_iter().filter(|fault| fault.layer == layer).collect();
    let tallies = harness::tallies(layer, &faults);
    println!("{}", Tally::HEAD);
    faults.iter().zip(&tallies).for_each(|(fault, tally)| println!("{}", tally.line(fault)));
    let wrong: Vec<String> = faults.iter().zip(&tallies).flat_map(|(fault, tally)| tally.complaints(fault)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Neither what is unchanged is caught, nor a kernel that is written here and has no mistake: what is caught of the others is
/// the mistake.
fn without_a_fault_nothing_is_caught(layer: &'static str) {
    let unchanged = Fault::new(layer, "nothing", Mistake::Results(|_, _| {}));
    let kernels = kernels().into_iter().filter(|kernel| kernel.layer == layer);
    let faults: Vec<Fault> = std::iter::once(unchanged).chain(kernels).collect();
    for (fault, tally) in faults.iter().zip(harness::tallies(layer, &faults)) {
        assert!(tally.run() > 400, "{layer}: only {} cases passed without a fault", tally.run());
        assert_eq!(tally.first_failure, None, "{layer}: {}", fault.name);
        // So the harness can say that a fault is not caught.
        assert_eq!(tally.complaints(fault).len(), 4, "{layer}: {}", fault.name);
    }
}

for_each_layer!(every_fault_is_caught, without_a_fault_nothing_is_caught);

#[test]
fn the_catalogue_covers_every_layer() {
    let faults = catalogue();
    assert!(faults.len() >= 60, "only {} faults", faults.len());
    let mut names: Vec<(&str, &str)> = faults.iter().map(|fault| (fault.layer, fault.name)).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a layer has two faults of one name");
    for layer in LAYERS {
        // Those that are asked of any layer do not count.
        let own = faults.iter().filter(|fault| fault.layer == *layer && !of_any_layer::is(fault)).count();
        assert!(own >= 2, "{layer} has {own} faults of its own");
    }
    println!("{} faults of {} layers", faults.len(), LAYERS.len());
}
