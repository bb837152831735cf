//! What several layers' files share: how cases of one kind of layer are run and generated.

pub(super) mod elementwise;
pub(super) mod losses;
pub(super) mod recurrent;
