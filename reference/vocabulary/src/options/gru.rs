//! `torch.nn.GRU(input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False)`.

crate::recurrent::recurrent_options! {
    /// Arguments of `torch.nn.GRU`.
    ///
    /// ```
    /// use vocabulary::GRUOptions;
    /// let options = GRUOptions::new(10, 20).num_layers(2).bidirectional(true);
    /// assert!(options.suffixes().eq(["_l0", "_l0_reverse", "_l1", "_l1_reverse"]));
    /// ```
    pub struct GRUOptions, "GRU", gates 3 {}
}
