//! So many frames, and more as they are earned.

/// Frames that may still come.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    most: u32,
}

impl Allowance {
    pub(super) fn new(left: u32, most: u32) -> Self {
        Allowance { left, most }
    }

    /// Takes one frame; whether there was one left.
    pub(super) fn spend(&mut self) -> bool {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// Adds frames, up to the most that can be saved.
    pub(super) fn earn(&mut self, frames: u32) {
        self.left = self.left.saturating_add(frames).min(self.most);
    }
}
