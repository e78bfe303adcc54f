#include "runtime/cli/svg_chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "runtime/cli/svg_frame.h"

namespace userpager::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

// The heights of the bars in drawing order. Only bars have a title of their own.
std::vector<double> BarHeights(const std::string& svg) {
  const std::string height = "height=\"";
  std::vector<double> heights;
  for (size_t at = svg.find("\"><title>"); at != svg.npos; at = svg.find("\"><title>", at + 1)) {
    heights.push_back(std::stod(svg.substr(svg.rfind(height, at) + height.size())));
  }
  return heights;
}

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(SvgChart, BarsAreAsHighAsTheirValues) {
  const std::string svg =
      DrawBars({"t", "v", ""}, Scale::kLinear, {"a", "b"}, {{"one", {10, 20}}, {"two", {5, 0}}});
  const std::vector<double> heights = BarHeights(svg);
  ASSERT_EQ(4u, heights.size());  // a's two, then b's two
  EXPECT_NEAR(heights[0] * 2, heights[2], 0.3);
  EXPECT_NEAR(heights[1] * 2, heights[0], 0.3);
  EXPECT_EQ(0, heights[3]);
}

TEST(SvgChart, EqualRatiosAreEqualStepsOnALogarithmicScale) {
  const std::string svg = DrawBars({"t", "v", ""}, Scale::kLogarithmic, {"a"},
                                   {{"x", {30}}, {"y", {90}}, {"z", {270}}});
  const std::vector<double> heights = BarHeights(svg);
  ASSERT_EQ(3u, heights.size());
  EXPECT_GT(heights[0], 0);
  EXPECT_NEAR(heights[1] - heights[0], heights[2] - heights[1], 0.3);
}

TEST(SvgChart, WhatIsNotThereIsNotDrawn) {
  const std::vector<ChartSeries> series = {{"one", {NAN, 3}}, {"two", {0, 4}}};
  EXPECT_EQ(2u,
            BarHeights(DrawBars({"t", "v", ""}, Scale::kLogarithmic, {"a", "b"}, series)).size());
  EXPECT_EQ(3u, BarHeights(DrawBars({"t", "v", ""}, Scale::kLinear, {"a", "b"}, series)).size());
}

TEST(SvgChart, LinesHaveAPointForEachValue) {
  const std::string svg = DrawLines({"t", "v", "h"}, Scale::kLinear, {1, 2, 4},
                                    {{"one", {1, 2, 3}}, {"two", {3, NAN, 1}}});
  EXPECT_EQ(5u, Count(svg, "<circle "));
  EXPECT_EQ(2u, Count(svg, "<polyline "));
}

TEST(SvgChart, NamesAreEscaped) {
  const std::string svg =
      DrawBars({"a < b & c", "v", ""}, Scale::kLinear, {"<g>"}, {{"s & t", {1}}});
  EXPECT_THAT(svg, HasSubstr("a &lt; b &amp; c"));
  EXPECT_THAT(svg, HasSubstr("s &amp; t"));
  EXPECT_THAT(svg, Not(HasSubstr("<g>")));
}

// The colour of a series in one of the two styles.
std::vector<int> ColourOf(const std::string& style, size_t series) {
  const std::string begin = "." + SeriesClass(series) + "{fill:#";
  const size_t at = style.find(begin);
  if (at == style.npos) return {};
  std::vector<int> parts;
  for (size_t i = 0; i < 6; i += 2) {
    parts.push_back(std::stoi(style.substr(at + begin.size() + i, 2), nullptr, 16));
  }
  return parts;
}

TEST(SvgChart, NoTwoSeriesLookAlikeInLightOrInTheDark) {
  constexpr size_t kSeries = 8;
  constexpr double kLeastDistance = 40;
  const std::string style = ChartStyle();
  const size_t dark = style.find("prefers-color-scheme:dark");
  ASSERT_NE(style.npos, dark);
  for (const bool in_the_dark : {false, true}) {
    std::vector<std::vector<int>> colours;
    for (size_t series = 0; series < kSeries; ++series) {
      std::vector<int> colour = ColourOf(in_the_dark ? style.substr(dark) : style, series);
      if (colour.empty()) colour = ColourOf(style, series);
      ASSERT_EQ(3u, colour.size());
      for (const std::vector<int>& other : colours) {
        EXPECT_LT(kLeastDistance, std::hypot(colour[0] - other[0], colour[1] - other[1],
                                             colour[2] - other[2]))
            << "series " << series << (in_the_dark ? " in the dark" : "");
      }
      colours.push_back(std::move(colour));
    }
  }
}

TEST(SvgChart, MarksOfAnAxisAreWrittenInOneWay) {
  EXPECT_EQ("500", ShortNumber(500));
  EXPECT_EQ("1.5k", ShortNumber(1500));
  EXPECT_EQ("5k", ShortNumber(5000));
  EXPECT_EQ("10k", ShortNumber(10'000));
  EXPECT_EQ("1234", ShortNumber(1234));
  EXPECT_EQ("2M", ShortNumber(2e6));
}

TEST(SvgChart, NothingToDrawIsAChartAllTheSame) {
  for (const Scale scale : {Scale::kLinear, Scale::kLogarithmic}) {
    const std::string svg = DrawBars({"t", "v", ""}, scale, {}, {});
    EXPECT_THAT(svg, HasSubstr("</svg>"));
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
    EXPECT_THAT(DrawLines({"t", "v", "h"}, scale, {}, {{"s", {}}}), Not(HasSubstr("nan")));
  }
}

}  // namespace
}  // namespace userpager::cli
