//! Values that depend on others, shrunk in the order that ends at small ones soonest.

use proptest::strategy::{NewTree, Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::fmt;

/// How often what depends on a simpler value is drawn again until it fails, too.
const ATTEMPTS: u32 = 8;

/// Strategies that others depend on: see [`Dependent::prop_dependent`].
pub trait Dependent: Strategy + Sized {
    /// As `prop_flat_map`, but that the value is simplified before what depends on it: first shapes and options, drawing other
    /// numbers for each, then the numbers. `prop_flat_map` would simplify every number before each step of a shape.
    fn prop_dependent<S: Strategy, F: Fn(Self::Value) -> S + Clone>(self, f: F) -> DependentStrategy<Self, F> {
        DependentStrategy { value: self, f }
    }
}

impl<S: Strategy> Dependent for S {}

/// The strategy of [`Dependent::prop_dependent`].
#[derive(Clone)]
pub struct DependentStrategy<S, F> {
    value: S,
    f: F,
}

impl<S: fmt::Debug, F> fmt::Debug for DependentStrategy<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DependentStrategy").field("value", &self.value).finish_non_exhaustive()
    }
}

impl<S: Strategy, T: Strategy, F: Fn(S::Value) -> T + Clone> Strategy for DependentStrategy<S, F> {
    type Tree = DependentTree<S, T, F>;
    type Value = T::Value;
    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let value = self.value.new_tree(runner)?;
        let dependent = (self.f)(value.current()).new_tree(runner)?;
        let runner = TestRunner::new_with_rng(runner.config().clone(), runner.new_rng());
        Ok(DependentTree {
            value,
            dependent,
            failed: None,
            attempts: 0,
            value_is_done: false,
            f: self.f.clone(),
            runner,
        })
    }
}

/// The tree of a [`DependentStrategy`].
pub struct DependentTree<S: Strategy, T: Strategy, F> {
    value: S::Tree,
    dependent: T::Tree,
    /// While the value is being simplified: what depended on it when it last failed.
    failed: Option<T::Tree>,
    attempts: u32,
    value_is_done: bool,
    f: F,
    runner: TestRunner,
}

impl<S: Strategy, T: Strategy, F: Fn(S::Value) -> T> DependentTree<S, T, F> {
    /// Draws what depends on the value as it is now; nothing where that cannot be drawn.
    fn drawn(&mut self) -> Option<T::Tree> {
        (self.f)(self.value.current()).new_tree(&mut self.runner).ok()
    }
}

impl<S: Strategy, T: Strategy, F: Fn(S::Value) -> T> ValueTree for DependentTree<S, T, F> {
    type Value = T::Value;

    fn current(&self) -> Self::Value {
        self.dependent.current()
    }

    fn simplify(&mut self) -> bool {
        // What is there now has failed.
        self.failed = None;
        while !self.value_is_done {
            if !self.value.simplify() {
                self.value_is_done = true;
            } else if let Some(drawn) = self.drawn() {
                self.failed = Some(std::mem::replace(&mut self.dependent, drawn));
                self.attempts = ATTEMPTS;
                return true;
            }
        }
        self.dependent.simplify()
    }

    fn complicate(&mut self) -> bool {
        if self.failed.is_none() {
            return self.dependent.complicate();
        }
        // Other numbers may fail yet; then a value that is less simple; at last, what failed before.
        let again = self.attempts > 0;
        self.attempts = if again { self.attempts - 1 } else { ATTEMPTS };
        let drawn = if again || self.value.complicate() { self.drawn() } else { None };
        match drawn.or_else(|| self.failed.take()) {
            Some(tree) => self.dependent = tree,
            None => return false,
        }
        true
    }
}
