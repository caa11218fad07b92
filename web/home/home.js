// The overview: the host's pulse and its plugins' lives, and the cards, each of which runs its proof in place.

import "/assets/components/copy-text.js";
import "/assets/components/host-score.js";
import "/assets/components/proof-card.js";
import "/assets/host-figures.js";
