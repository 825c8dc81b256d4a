"""What goes out on paper: the summary data set, its texts and its pages."""
