"""The measurement page as tests: a chapter a section, every case in one build."""
