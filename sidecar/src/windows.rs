//! How the windows of a long text make up one answer.

/// Which window is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The mean of all: what a text is about.
    Mean,
    /// The one where the label of this number, which says that there is nothing, is least probable: for guards.
    LeastOf(usize),
    /// For every label the one where it is most probable: labels that are each a question of their own.
    MostOfEach,
}

impl Pooling {
    /// That of a head whose label `background` says that there is nothing, if it has one.
    ///
    /// # Errors
    /// When no label has that name.
    pub fn of(
        background: Option<&str>,
        labels: &[String],
        multi_label: bool,
    ) -> Result<Self, String> {
        match background {
            Some(name) => labels
                .iter()
                .position(|label| label == name)
                .map(Self::LeastOf)
                .ok_or_else(|| format!("there is no label `{name}`; known: {}", labels.join(", "))),
            None if multi_label => Ok(Self::MostOfEach),
            None => Ok(Self::Mean),
        }
    }
}

impl Pooling {
    /// Whether one window is enough to speak for a text: the heads that requests are stopped for.
    #[must_use]
    pub fn guards(self) -> bool {
        self != Self::Mean
    }
}

/// Probabilities of the windows read so far.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowPool {
    pooling: Pooling,
    pooled: Vec<f32>,
    windows: usize,
}

impl WindowPool {
    /// Nothing read yet.
    #[must_use]
    pub fn new(pooling: Pooling) -> Self {
        Self {
            pooling,
            pooled: Vec::new(),
            windows: 0,
        }
    }

    /// Reads one window more. All windows have equally many probabilities.
    pub fn add(&mut self, probabilities: &[f32]) {
        self.windows += 1;
        if self.windows == 1 {
            self.pooled = probabilities.to_vec();
            return;
        }
        let pairs = self.pooled.iter_mut().zip(probabilities);
        match self.pooling {
            Pooling::Mean => pairs.for_each(|(sum, p)| *sum += p),
            Pooling::MostOfEach => pairs.for_each(|(most, p)| *most = most.max(*p)),
            Pooling::LeastOf(label) => {
                if probabilities.get(label) < self.pooled.get(label) {
                    self.pooled = probabilities.to_vec();
                }
            }
        }
    }

    /// The probabilities of the text; empty when nothing was read.
    #[must_use]
    pub fn probabilities(mut self) -> Vec<f32> {
        if self.pooling == Pooling::Mean && self.windows > 1 {
            for sum in &mut self.pooled {
                *sum /= self.windows as f32;
            }
        }
        self.pooled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pooled(pooling: Pooling) -> Vec<f32> {
        let mut pool = WindowPool::new(pooling);
        for window in [[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]] {
            pool.add(&window);
        }
        pool.probabilities()
    }

    #[test]
    fn windows_are_pooled_by_mean_by_the_worst_or_by_label() {
        assert_eq!(pooled(Pooling::Mean), [0.5, 0.5]);
        assert_eq!(pooled(Pooling::LeastOf(0)), [0.25, 0.75]);
        assert_eq!(pooled(Pooling::MostOfEach), [0.75, 0.75]);
        let nothing = WindowPool::new(Pooling::Mean);
        assert_eq!(nothing.probabilities(), [0.0; 0]);
    }

    #[test]
    fn the_background_chooses_the_pooling() {
        let labels = ["attack", "benign"].map(str::to_owned);
        assert_eq!(
            Pooling::of(Some("benign"), &labels, false),
            Ok(Pooling::LeastOf(1))
        );
        assert_eq!(Pooling::of(None, &labels, false), Ok(Pooling::Mean));
        assert_eq!(Pooling::of(None, &labels, true), Ok(Pooling::MostOfEach));
        let error = Pooling::of(Some("harmless"), &labels, false).unwrap_err();
        assert_eq!(error, "there is no label `harmless`; known: attack, benign");
    }
}
