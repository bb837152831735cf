//! `torch.nn.RNN(input_size, hidden_size, num_layers=1, nonlinearity='tanh', bias=True, batch_first=False, dropout=0.0,
//! bidirectional=False)`.

/// What a step of an RNN applies to its sum.
///
/// ```
/// assert_eq!(vocabulary::Nonlinearity::default(), vocabulary::Nonlinearity::Tanh);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Nonlinearity {
    /// The hyperbolic tangent.
    #[default]
    Tanh,
    /// The positive part.
    Relu,
}

crate::recurrent::recurrent_options! {
    /// Arguments of `torch.nn.RNN`.
    ///
    /// ```
    /// use vocabulary::{Nonlinearity, RNNOptions};
    /// let options = RNNOptions::new(10, 20).num_layers(2).nonlinearity(Nonlinearity::Relu);
    /// assert!(options.suffixes().eq(["_l0", "_l1"]));
    /// ```
    pub struct RNNOptions, "RNN", gates 1 {
        /// What each step applies to its sum.
        pub nonlinearity: Nonlinearity = Nonlinearity::Tanh,
    }
}
