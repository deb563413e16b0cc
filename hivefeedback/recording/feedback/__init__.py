"""Late feedback finds its run, here, in the log or at another process, and corrects what was learnt."""
