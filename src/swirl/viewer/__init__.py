"""What `swirl view` shows of run folders, while they are made and afterwards. It reads, and writes nothing in them."""
